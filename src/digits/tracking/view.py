"""What MLflow's page shows first: the project's runs in a saved view.

A saved view is a tag of the experiment, as MLflow 3.17 writes it when somebody saves one on the
page. Its form is documented nowhere: a test opens this one in a browser.
"""

import json
from typing import Any
from urllib.parse import urlencode

_KEY = "digits"
TAG = f"mlflow.sharedViewState.{_KEY}"

_COLUMNS = {  # and their widths, in pixels
    "metrics.`test_accuracy`": 120,
    "metrics.`test_loss`": 100,
    "metrics.`elapsed_s`": 100,
    "params.`parameters`": 100,
    "metrics.`val_accuracy`": 120,
    "metrics.`holdout_accuracy`": 145,
    "metrics.`behaviour_noise`": 145,
    "params.`optimizer.name`": 130,
    "params.`fit.epochs`": 95,
    "tags.`git_commit`": 120,
}


def path(experiment_id: str) -> str:
    """Path of the page with the experiment's runs as charts, in the saved view."""
    query = {
        "viewStateShareKey": _KEY,
        "compareRunsMode": "CHART",
        "workflowType": "machine_learning",  # the other one has tools for language models
    }
    return f"/#/experiments/{experiment_id}/runs?{urlencode(query)}"


def missing_tags(present: dict[str, str]) -> dict[str, str]:
    """The tag with this view if an experiment with these tags lacks it; other views stay."""
    view = {"name": "Comparison of models", "createdAt": 0, "state": json.dumps(_state())}
    wanted = json.dumps(view)
    return {} if present.get(TAG) == wanted else {TAG: wanted}


def _state() -> dict[str, Any]:
    sections = [
        {
            "name": "Accuracy, time and curves",
            "columns": 2,
            "cardHeight": 240,  # two rows fill a window of 900 pixels
        },
        {"name": "Confusion matrices", "columns": 1, "cardHeight": 480},
        # MLflow's own name of the section in which it draws all other metrics
        {"name": "Model metrics", "display": False},
    ]
    charts = [
        _chart(0, "BAR", metricKey="test_accuracy_percent"),
        _chart(0, "BAR", metricKey="elapsed_s"),
        _curves("accuracy"),
        _curves("loss"),
        _chart(0, "SCATTER", xaxis=_metric("elapsed_s"), yaxis=_metric("test_accuracy")),
        _chart(0, "BAR", metricKey="test_loss"),
        _matrices("test"),
        _matrices("holdout"),
    ]
    return {
        "selectedColumns": list(_COLUMNS),
        "columnOrder": list(_COLUMNS),
        "columnWidths": _COLUMNS,
        "compareRunCharts": [chart | {"uuid": f"chart-{n}"} for n, chart in enumerate(charts)],
        "compareRunSections": [
            {"uuid": f"section-{n}", "display": True, "isReordered": True} | section
            for n, section in enumerate(sections)
        ],
        "isAccordionReordered": True,
    }


def _curves(metric: str) -> dict[str, Any]:
    return _chart(
        0,
        "LINE",
        metricKey=metric,
        selectedMetricKeys=[f"val_{metric}", metric],
        lineSmoothness=0,  # without it the curves are not those of the training
        xAxisKey="step",
        range={},
    )


def _matrices(split: str) -> dict[str, Any]:
    return _chart(1, "IMAGE", imageKeys=[f"{split}_confusion_matrix"], step=0, showRunParams=False)


def _metric(name: str) -> dict[str, str]:
    return {"key": name, "type": "METRIC"}


def _chart(section: int, kind: str, **options: Any) -> dict[str, Any]:
    return {"type": kind, "metricSectionId": f"section-{section}", "deleted": False} | options
