"""Readers of raw data: raw (and IDX), npz, cells (CSV), folders, corrections."""
