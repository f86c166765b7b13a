"""`digits run`: the pipeline of dvc.yaml, with its progress and the time it still takes."""
