"""A registered model at work: it predicts, scores files, is monitored, and answers MLflow's way."""
