"""What stages do with trained models: ask, measure, draw and compare them, and report."""
