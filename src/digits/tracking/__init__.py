"""MLflow runs: store and database (the tracking store), runs, evaluations, restore, sweeps; the
page's view and descriptions.
"""
