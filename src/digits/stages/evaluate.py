"""`evaluate@<model>`: scores, statistics and pictures of a model on the test and hold-out rows."""

from digits.params import load as load_params
from digits.project import as_project
from imageproof.base import Metrics
from imageproof.dvc import stage_command
from imageproof.evaluation import asking, drawing, measuring
from imageproof.judge import disturbances, scores
from imageproof.mlflow import restore


def main(model: str) -> None:
    """Write artifacts/evaluate/<model>/ and upload it to the model's MLflow run."""
    params = load_params()
    evaluated = asking.ask(model, params.class_names(), threads=params.train.threads)
    metrics = {split: score(answers) for split, answers in evaluated.splits.items()}
    measuring.write_figures(evaluated, metrics, coverage=params.confidence.coverage)
    disturb_by = disturbances.disturbances(params.behaviour)
    asking.measure_behaviour(evaluated, disturb_by, images=params.behaviour.images)
    draw(evaluated, metrics)
    restore.log_evaluation(model, as_project(params))


def score(answers: asking.Answers) -> Metrics:
    """The scores of a split; each key is a metric in MLflow, so add yours here."""
    return scores.score_probabilities(answers.probabilities, answers.data.labels)


def draw(evaluated: asking.Evaluated, metrics: dict[str, Metrics]) -> None:
    """Draw what the report shows of a model; save a picture of yours in its folder."""
    drawing.draw_matrices(evaluated)
    drawing.draw_reliability(evaluated, metrics)
    drawing.draw_mistakes(evaluated)


if __name__ == "__main__":
    stage_command.run_stage(main)
