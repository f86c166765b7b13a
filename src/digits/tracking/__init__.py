"""MLflow runs: store and database (the tracking store), runs, restore, sweeps; the page's view and
descriptions.
"""
