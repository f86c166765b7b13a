"""Checks of raw data: validate, summary, expectations, result, docs."""
