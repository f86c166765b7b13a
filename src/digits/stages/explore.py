"""`explore`: table and pictures of the raw training data."""

from digits.params import load as load_params
from imageproof.dvc import stage_command
from imageproof.evaluation import exploring


def main() -> None:
    params = load_params()
    exploring.write_exploration(params.class_names(), seed=params.seed)


if __name__ == "__main__":
    stage_command.run_stage(main)
