"""`explore`: table and pictures of the raw training data."""

from digits.params import load as load_params
from imageproof.artifacts import WORKSPACE
from imageproof.dvc.stage_command import run_stage
from imageproof.evaluation.exploring import write_exploration


def main() -> None:
    params = load_params()
    names = WORKSPACE.class_names(params.data.classes, params.data.class_names)
    write_exploration(names, seed=params.seed)


if __name__ == "__main__":
    run_stage(main)
