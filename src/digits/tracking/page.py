"""What MLflow's page shows first: the project's runs in a saved view.

`python -m digits.tracking.page PORT` prints its address. A saved view is a tag of the experiment,
as MLflow 3.17 writes it; its form is documented nowhere: a test opens this one in a browser.
"""

import json
import sys
from typing import Any
from urllib.parse import urlencode

from digits.core import process
from digits.core.guard import PAGE_NAME

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
_SECTIONS: list[dict[str, Any]] = [
    # two rows fill a window of 900 pixels
    {"name": "Accuracy, time and curves", "columns": 2, "cardHeight": 240},
    {"name": "Confusion matrices", "columns": 1, "cardHeight": 480},
    # MLflow's own name of the section in which it draws all other metrics
    {"name": "Model metrics", "display": False},
]


def address(port: str) -> str:
    """Where a server of the tracking store shows the project's runs; store and runs may be new."""
    from digits.tracking import store

    # not every macOS knows names below .localhost
    name = PAGE_NAME if sys.platform != "darwin" else "127.0.0.1"
    return f"http://{name}:{port}{path(store.connect())}"


def path(experiment_id: str) -> str:
    """Path of the page with the experiment's runs as charts, in the saved view."""
    query = {
        "viewStateShareKey": _KEY,
        "compareRunsMode": "CHART",
        "workflowType": "machine_learning",  # the other one has tools for language models
    }
    return f"/#/experiments/{experiment_id}/runs?{urlencode(query)}"


def tags() -> dict[str, str]:
    """The tag of an experiment that holds the view."""
    state = {
        "selectedColumns": list(_COLUMNS),
        "columnOrder": list(_COLUMNS),
        "columnWidths": _COLUMNS,
        "compareRunCharts": [chart | {"uuid": f"chart-{n}"} for n, chart in enumerate(_charts())],
        "compareRunSections": [
            {"uuid": f"section-{n}", "display": True, "isReordered": True} | section
            for n, section in enumerate(_SECTIONS)
        ],
        "isAccordionReordered": True,
    }
    view = {"name": "Comparison of models", "createdAt": 0, "state": json.dumps(state)}
    return {TAG: json.dumps(view)}


def _charts() -> list[dict[str, Any]]:
    axes = {
        axis: {"key": key, "type": "METRIC"}
        for axis, key in (("xaxis", "elapsed_s"), ("yaxis", "test_accuracy"))
    }
    # straight lines: smoothed curves are not those of the training
    curve = {"lineSmoothness": 0, "xAxisKey": "step", "range": {}}
    return [
        _chart(0, "BAR", metricKey="test_accuracy_percent"),
        _chart(0, "BAR", metricKey="elapsed_s"),
        *(
            _chart(0, "LINE", metricKey=name, selectedMetricKeys=[f"val_{name}", name], **curve)
            for name in ("accuracy", "loss")
        ),
        _chart(0, "SCATTER", **axes),
        _chart(0, "BAR", metricKey="test_loss"),
        *(
            _chart(1, "IMAGE", imageKeys=[f"{split}_confusion_matrix"], step=0, showRunParams=False)
            for split in ("test", "holdout")
        ),
    ]


def _chart(section: int, kind: str, **options: Any) -> dict[str, Any]:
    return {"type": kind, "metricSectionId": f"section-{section}", "deleted": False} | options


if __name__ == "__main__":
    process.run_program(lambda: print(address(*sys.argv[1:])))
