"""MLflow runs: store and database (the tracking store), runs, restore, sweeps; view (the page)."""
