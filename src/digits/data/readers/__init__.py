"""Readers of raw data: raw (recognises the format; CSV, npz), idx."""
