"""MLflow runs: store, database, runs, live (a training's run), logged_model, restore, page."""
