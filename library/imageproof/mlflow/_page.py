"""What MLflow's pages show: the project's runs in a saved view, and descriptions.

A saved view is a tag of the experiment, as MLflow 3.17 writes it; its form is documented nowhere: a
test opens this one in a browser. Where a person has written a description, it stays.
"""

import json
from typing import Any

from imageproof.base._dataset import EVALUATED
from imageproof.base._naming import project_name

NOTE = "mlflow.note.content"  # tag of an experiment or a run that MLflow shows as its description

TRAININGS = """\
Each run is one training of an image classifier, by `dvc repro`, `NAME run` or the flow `train`; \
solid curves are of validation, dashed ones of training. What the names mean:

- `accuracy`, `loss`: after each epoch, on the training rows; `val_…` on the validation rows
- `test_…`, `holdout_…`: of the finished model, on rows that no training has seen
- `test_error_percent`: how many of 100 test images it gets wrong
- `behaviour_…`: its accuracy on test images that are moved, turned, blurred, …
- `elapsed_s`: seconds of training; `user_s` and `system_s` add up over all cores

A run with the tag `NAME.restored_from` was trained elsewhere, and logged from DVC's files. \
One of a DVC experiment is named with it; the tag `NAME.changed` says what it changed. \
`NAME promote MODEL` lets the gate judge the last training of a model."""

HISTORY = "## History of the champion"  # heading, below which we renew the description
VERSIONS = f"""\
The image classifiers of the project. Each version is a training that the gate judged \
(`NAME promote`); its description begins with model, accuracy and verdict, and is its model card.

- `champion` is the version that answers: `NAME predict`, `NAME score`, `NAME serve`
- `challenger` is the version that the gate judged last, if it is not the champion
- `NAME history` says who replaced whom and why, `NAME rollback` brings the former champion back
- the tags `NAME.champion.…` hold that history for programs

{HISTORY}
"""

# its charts; MLflow's other workflow type has tools for language models
MODE = "compareRunsMode=CHART&workflowType=machine_learning"
COLUMNS = {  # and their widths, in pixels
    "metrics.`test_accuracy`": 120,
    "metrics.`test_loss`": 100,
    "metrics.`elapsed_s`": 100,
    "params.`parameters`": 100,
    "metrics.`val_accuracy`": 120,
    "metrics.`holdout_accuracy`": 145,
    "metrics.`test_balanced_accuracy`": 145,
    "metrics.`test_macro_f1`": 120,
    "metrics.`test_weakest_sensitivity`": 145,
    "params.`optimizer.name`": 130,
    "params.`fit.epochs`": 95,
    "tags.`NAME.changed`": 200,
    "attributes.`Version`": 120,  # the commit
}
SECTIONS: list[dict[str, Any]] = [
    # both rows fit into a window of 900 pixels
    {"name": "Errors, time and curves", "columns": 2, "cardHeight": 240},
    {"name": "Confusion matrices", "columns": 1, "cardHeight": 480},
    # MLflow's own name of the section in which it draws all other metrics
    {"name": "Model metrics", "display": False},
]
BAR: dict[str, Any] = {"metricSectionId": "section-0", "type": "BAR"}
# straight lines: smoothed curves are not those of the training
CURVE = BAR | {"type": "LINE", "lineSmoothness": 0, "xAxisKey": "step", "range": {}}
MATRIX = BAR | {"type": "IMAGE", "metricSectionId": "section-1", "step": 0, "showRunParams": False}
CHARTS: list[dict[str, Any]] = [
    BAR | {"metricKey": "test_error_percent"},
    BAR | {"metricKey": "elapsed_s"},
    CURVE | {"metricKey": "accuracy", "selectedMetricKeys": ["val_accuracy", "accuracy"]},
    CURVE | {"metricKey": "loss", "selectedMetricKeys": ["val_loss", "loss"]},
    *(MATRIX | {"imageKeys": [f"{split}_confusion_matrix"]} for split in EVALUATED),
]


def named(text: str) -> str:
    """The text with the project's name for NAME."""
    return text.replace("NAME", project_name())


def view_tag() -> str:
    """The key of the tag of an experiment that holds the view."""
    return f"mlflow.sharedViewState.{project_name()}"


def query() -> str:
    """What an address of the experiment's page needs to open the view."""
    return f"viewStateShareKey={project_name()}&{MODE}"


def tags() -> dict[str, str]:
    """The tag of an experiment that holds the view."""
    charts = [{"uuid": f"chart-{n}", "deleted": False} | chart for n, chart in enumerate(CHARTS)]
    widths = {named(column): width for column, width in COLUMNS.items()}
    state = {
        "selectedColumns": list(widths),
        "columnOrder": list(widths),
        "columnWidths": widths,
        "compareRunCharts": charts,
        "compareRunSections": [
            {"uuid": f"section-{n}", "display": True, "isReordered": True} | section
            for n, section in enumerate(SECTIONS)
        ],
        "isAccordionReordered": True,
    }
    view = {"name": "Comparison of models", "createdAt": 0, "state": json.dumps(state)}
    return {view_tag(): json.dumps(view)}
