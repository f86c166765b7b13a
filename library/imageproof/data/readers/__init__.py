"""Readers of raw data: raw (which format it is), idx, npz, cells (CSV), folders, corrections."""
