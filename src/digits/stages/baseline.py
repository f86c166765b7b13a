"""`baseline`: what a classical classifier of the same rows gets right, which a model must beat."""

from digits.params import load as load_params
from imageproof.dvc import stage_command
from imageproof.evaluation import baseline


def main() -> None:
    """Write artifacts/baseline/."""
    params = load_params()
    baseline.write_baseline(classes=params.data.classes, seed=params.seed)


if __name__ == "__main__":
    stage_command.run_stage(main)
