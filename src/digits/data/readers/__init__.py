"""Readers of raw data: raw (chooses the reader), idx, csv, npz, files (what these share)."""
