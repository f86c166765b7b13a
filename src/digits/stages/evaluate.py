"""`evaluate@<model>`: scores, statistics and pictures of a model on the test and hold-out rows."""

from digits.params import load as load_params
from digits.project import as_project
from imageproof.artifacts import WORKSPACE
from imageproof.base.dataset import Metrics
from imageproof.dvc.stage_command import run_stage
from imageproof.evaluation.asking import Answers, Evaluated, ask, measuring_behaviour
from imageproof.evaluation.drawing import draw_matrices, draw_mistakes, draw_reliability
from imageproof.evaluation.measuring import write_figures
from imageproof.judge.disturbances import disturbances
from imageproof.judge.scores import score_probabilities


def main(model: str) -> None:
    """Write artifacts/evaluate/<model>/ and upload it to the model's MLflow run."""
    params = load_params()
    names = WORKSPACE.class_names(params.data.classes, params.data.class_names)
    evaluated = ask(model, names, threads=params.train.threads)
    disturb_by = disturbances(params.behaviour)
    with measuring_behaviour(evaluated, disturb_by, images=params.behaviour.images):
        metrics = {split: score(answers) for split, answers in evaluated.splits.items()}
        write_figures(evaluated, metrics, coverage=params.confidence.coverage)
        draw(evaluated, metrics)
        from imageproof.mlflow import restore  # MLflow takes a second
    restore.log_evaluation(model, as_project(params))


def score(answers: Answers) -> Metrics:
    """The scores of a split; each key is a metric in MLflow, so add yours here."""
    return score_probabilities(answers.probabilities, answers.data.labels)


def draw(evaluated: Evaluated, metrics: dict[str, Metrics]) -> None:
    """Draw what the report shows of a model; save a picture of yours in its folder."""
    draw_matrices(evaluated)
    draw_reliability(evaluated, metrics)
    draw_mistakes(evaluated)


if __name__ == "__main__":
    run_stage(main)
