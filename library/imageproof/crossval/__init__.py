"""Cross-validation of recipes: folds (what learns and what tests), report (the command)."""
