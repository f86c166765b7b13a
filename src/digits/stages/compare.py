"""`compare`: every two models on the same test rows, what each costs, and a verdict in words."""

from collections.abc import Sequence

from digits.params import load as load_params
from imageproof.artifacts import WORKSPACE
from imageproof.dvc import stage_command
from imageproof.evaluation import comparing


def main() -> None:
    params = load_params()
    comparing.drop_other_models(params.models)
    test = WORKSPACE.read_split("test").data
    threads = params.train.threads
    results = [comparing.read_result(model, test, threads=threads) for model in params.models]
    comparing.compare(results, test, params.promote, figures=own_figures(results))


def own_figures(results: Sequence[comparing.Result]) -> dict[str, dict[str, float]]:
    """Figures of yours by model and heading: for the tables, the report and DVC's metrics."""
    return {result.model: {} for result in results}


if __name__ == "__main__":
    stage_command.run_stage(main)
