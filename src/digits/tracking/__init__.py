"""MLflow runs: store and database (the tracking store), record and spool (what is logged, and
waits for the store), runs, evaluations, restore, sweeps; the page's view and descriptions.
"""
