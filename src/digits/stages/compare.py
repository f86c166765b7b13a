"""`compare`: every two models on the same test rows, what each costs, and a verdict in words."""

from digits.params import load as load_params
from imageproof.artifacts import WORKSPACE
from imageproof.dvc import stage_command
from imageproof.evaluation import comparing, reading


def main() -> None:
    params = load_params()
    comparing.drop_other_models(params.models)
    test = WORKSPACE.read_split("test").data
    results = reading.read_results(params.models, test, threads=params.train.threads)
    comparing.compare(
        results,
        test,
        params.promote,
        figures={},  # of yours: {model: {heading: number}}, such as of `result.figures`
    )


if __name__ == "__main__":
    stage_command.run_stage(main)
