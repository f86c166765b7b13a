"""One module per stage of dvc.yaml: read params, call the rooms, write outputs, log to MLflow."""

from pathlib import Path

from imageproof.dvc import stage_command

# Python imports this package before the stage's module is read
stage_command.begin(Path(__file__))
