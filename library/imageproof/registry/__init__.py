"""MLflow's registered model: which version is champion, why, and where it comes from."""
