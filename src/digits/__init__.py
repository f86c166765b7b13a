"""The project: versioned data, tracked training and honest comparison of image classifiers."""
