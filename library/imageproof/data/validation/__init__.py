"""Checks of the packed images by Great Expectations, and their block of params.yaml."""
