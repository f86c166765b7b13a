"""Readers of raw data: raw (finds the format), idx, csv, npz; files and cells serve them."""
