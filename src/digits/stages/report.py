"""`report`: the outputs of the other stages as one page that needs no network."""

from digits.params import load as load_params
from imageproof.dvc import stage_command
from imageproof.evaluation import reporting

# Pictures of yours by caption: files that `evaluate` writes into a model's folder.
PICTURES: dict[str, str] = {}


def main() -> None:
    reporting.write_report(load_params().models, pictures=PICTURES)


if __name__ == "__main__":
    stage_command.run_stage(main)
