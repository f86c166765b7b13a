"""What lies in data/: pictures in folders or in labels.csv, arrays of IDX, npz and CSV files; and
corrections of their labels.
"""
