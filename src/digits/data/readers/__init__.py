"""Readers of raw data: raw (recognises the format), idx."""
