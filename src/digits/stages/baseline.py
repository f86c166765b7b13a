"""`baseline`: what a classical classifier of the same rows gets right, which a model must beat."""

from digits.params import load as load_params
from imageproof.dvc.stage_command import run_stage
from imageproof.evaluation.baseline import write_baseline


def main() -> None:
    """Write artifacts/baseline/."""
    params = load_params()
    write_baseline(classes=params.data.classes, seed=params.seed)


if __name__ == "__main__":
    run_stage(main)
