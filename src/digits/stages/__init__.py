"""One module per stage of dvc.yaml: read params, call the rooms, write outputs, log to MLflow."""
