"""What every other room uses: files, errors, processes, images, inference."""
