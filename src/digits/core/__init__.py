"""What every room may use; imports nothing else of digits.

errors, files, dataset, artifacts (every path under artifacts/), context,
process, provenance, slots.
"""
