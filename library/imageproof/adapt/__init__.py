"""Which lines of params.yaml fit the data in `data/`."""
