"""A registered model at work: it predicts, scores files, is monitored, and has a demo page."""
