"""`compare`: every two models on the same test rows, what each costs, and a verdict in words."""

from digits.params import load as load_params
from imageproof.artifacts import WORKSPACE
from imageproof.dvc.stage_command import run_stage
from imageproof.evaluation.comparing import compare, drop_other_models
from imageproof.evaluation.reading import read_results


def main() -> None:
    params = load_params()
    drop_other_models(params.models)
    test = WORKSPACE.read_split("test").data
    results = read_results(params.models, test, threads=params.train.threads)
    compare(
        results,
        test,
        params.promote,
        figures={},  # of yours: {model: {heading: number}}, such as of `result.figures`
    )


if __name__ == "__main__":
    run_stage(main)
