"""`report`: the outputs of the other stages as one page that needs no network."""

from digits.params import load as load_params
from imageproof.dvc import stage_command
from imageproof.evaluation import reporting


def main() -> None:
    reporting.write_report(
        load_params().models,
        pictures={},  # of yours: {caption: file in a model's folder of `evaluate`}
    )


if __name__ == "__main__":
    stage_command.run_stage(main)
