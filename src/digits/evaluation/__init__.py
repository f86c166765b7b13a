"""What is measured of a model: scores, disturbed images, other seeds, the table of all models."""
