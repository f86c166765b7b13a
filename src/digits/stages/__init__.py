"""One module per stage of dvc.yaml: read params, call the rooms, write outputs, log to MLflow."""

from imageproof.dvc import stage_command

stage_command.begin()  # Python imports this package before the stage's module is read
