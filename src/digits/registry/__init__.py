"""MLflow versions: who is champion, by which decision, and how to get back."""
