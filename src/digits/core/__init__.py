"""What every room may use; imports nothing else of digits.

errors, addresses (texts without credentials), files, dataset, artifacts (every path under
artifacts/), provenance (git and dvc.lock), machine (cores and slots), process, commands
(subprocesses), context (what started the process), events (for Prefect's automations), guard (of
our servers).
"""
