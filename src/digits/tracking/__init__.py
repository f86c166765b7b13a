"""MLflow: where runs are kept, what is logged to them, and how they are found again."""
