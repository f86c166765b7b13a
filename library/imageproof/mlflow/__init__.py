"""MLflow runs: store, runs, live (a training's run), logged_model, restore, training, page."""
