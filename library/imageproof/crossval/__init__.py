"""Cross-validation of recipes: the command, and its folds."""
