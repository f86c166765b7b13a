"""Checks of the raw data: expectations (what is checked), validate (params and result)."""
