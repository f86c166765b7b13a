"""Readers of raw data: raw (recognises the format; CSV), folders, idx, npz, corrections."""
