"""MLflow runs.

- `store`, `database`: connect to the tracking store; create its SQLite file; errors as one line
- `runs`: open runs, log to them, find them
- `restore`: log a recorded training again where the store does not know it
- `sweeps`: a sweep's parent run and its trials
"""
