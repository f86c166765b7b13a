"""The stages of dvc.yaml: which changed, running them, where results come from, old revisions."""
