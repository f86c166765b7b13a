"""What every room may use; imports nothing else of digits.

errors, addresses (texts without credentials), files, yaml_files, colours, dataset, artifacts (every
path under artifacts/), repository (git), provenance (data.dvc, dvc.lock, the tags of a run),
revision (the project at another commit), pipeline (its stages, as DVC knows them), machine (cores
and slots), cluster (Dask), dispatch (work on a worker of it), checkout (the code at a commit),
remote (DVC's remotes and run cache), system (what only Linux has), process (what started it, how it
starts and ends), commands (subprocesses), events (for Prefect's automations), guard (of our
servers).
"""
