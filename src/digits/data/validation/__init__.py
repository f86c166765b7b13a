"""Checks of the raw data: validate (params and result), expectations (what is checked)."""
