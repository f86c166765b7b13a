"""Scoring any number of images in batches, with flat memory."""
