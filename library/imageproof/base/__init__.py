"""What every other room uses: files, errors, data sets, inference."""
