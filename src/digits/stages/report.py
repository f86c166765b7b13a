"""`report`: the outputs of the other stages as one page that needs no network."""

from digits.params import load as load_params
from imageproof.dvc.stage_command import run_stage
from imageproof.evaluation.reporting import write_report


def main() -> None:
    write_report(
        load_params().models,
        pictures={},  # of yours: {caption: file in a model's folder of `evaluate`}
    )


if __name__ == "__main__":
    run_stage(main)
