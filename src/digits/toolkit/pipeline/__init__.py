"""`digits run`: the stages of dvc.yaml that changed, side by side where cores allow it."""
