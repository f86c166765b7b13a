"""Read the recorded results at two revisions, without a checkout, and compare them by model."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel

from imageproof.artifacts import WORKSPACE, Artifacts
from imageproof.base._dataset import Labels, Metrics
from imageproof.base.errors import DataError
from imageproof.base.files import flatten, read_json, scratch
from imageproof.diff._difference import Change, Difference, changes
from imageproof.dvc import provenance
from imageproof.dvc._revision import Revision, open_revision
from imageproof.dvc.params_yaml import PATH, read
from imageproof.judge._comparison import Candidate, compare_pair
from imageproof.judge._timing import Training, comparable_times
from imageproof.outputs import ClassFigures


@dataclass
class Diff:
    """What differs between two revisions.

    `models` are those with other outputs at both, `states` says of all others whether they are
    unchanged, new or gone.
    """

    old: Revision
    new: Revision
    params: Mapping[str, Change]
    models: dict[str, Difference] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)  # what cannot be compared or trusted, and why


class Recorded(NamedTuple):
    """What is recorded of a model at a revision.

    `test.accuracy`, `elapsed_s` and `size_mb` are among the metrics. `sensitivity` is that on the
    test rows, by class name; `predicted` int64 (n,) are the classes of the test rows.
    """

    metrics: Metrics
    sensitivity: Mapping[str, float | None]
    predicted: Labels
    training: Training


class Run(BaseModel):
    """What is read of a `RunRecord`, which another version may have written."""

    tags: dict[str, str] = {}


class Side:
    """The results recorded at a revision; files are copied to its `root` when they are read."""

    def __init__(self, revision: Revision) -> None:
        revision.fetch(provenance.OUTPUTS, PATH)
        self.revision = revision
        self.root = revision.root
        self.artifacts = Artifacts(self.root)
        self.outputs = provenance.recorded_outputs(self.root)
        with revision.reading():
            self.raw = read(self.root / PATH)
        self.models = [
            model
            for model in _names(self.raw.get("models"))
            if WORKSPACE.evaluated(model).metrics in self.outputs
        ]

    def outputs_of(self, model: str) -> dict[Path, str]:
        """The md5 of each file of its training and its evaluation."""
        folders = {WORKSPACE.trained(model).folder, WORKSPACE.evaluated(model).folder}
        return {path: md5 for path, md5 in self.outputs.items() if path.parent in folders}

    def test_md5(self, model: str) -> str | None:
        """The md5 of the test rows that the model was evaluated on, if they are still recorded."""
        path = WORKSPACE.split("test")
        evaluated = provenance.recorded(f"evaluate@{model}", self.root).inputs.get(path)
        return evaluated if evaluated == self.outputs.get(path) else None

    def params(self) -> dict[str, Any]:
        """All params by dotted key, as JSON has them; those that the stages ran with count."""
        data_md5 = provenance.recorded("split", self.root).inputs.get(provenance.DATA, "")
        values = {"data (md5)": data_md5, **flatten(self.raw)}
        models = [f"{stage}@{model}" for model in self.models for stage in ("train", "evaluate")]
        runs: dict[str, list[Any]] = {}
        for stage in ("validate", "split", *models):
            for key, value in flatten(provenance.recorded(stage, self.root).values).items():
                runs.setdefault(key, []).append(value)
        # models that were trained at different times may have run with different ones
        values |= {key: run[-1] for key, run in runs.items() if values.get(key) not in run}
        plain = json.dumps(values, default=str, skipkeys=True)
        return dict(json.loads(plain, parse_constant=str))  # NaN as text


def _names(values: object) -> list[str]:
    """What can name a module, and so is neither a path nor Markdown."""
    names = map(str, values) if isinstance(values, list) else ()
    return [name for name in names if name.isidentifier() and len(name) <= 100]


def collect_diff(old: str, new: str | None) -> Diff:
    """Compare two revisions; None is the workspace."""
    with (
        scratch() as folder,
        open_revision(old, folder / "old") as first,
        open_revision(new, folder / "new") as second,
    ):
        old_side = Side(first)
        new_side = Side(second)
        params = changes(old_side.params(), new_side.params())
        # False, which turns a check of the gate off, is not 0
        differing = {k: pair for k, pair in params.items() if repr(pair.old) != repr(pair.new)}
        diff = Diff(first, second, differing)
        for model in dict.fromkeys([*new_side.models, *old_side.models]):
            _add(model, old_side, new_side, diff)
    return diff


def _add(model: str, old: Side, new: Side, diff: Diff) -> None:
    if model not in old.models or model not in new.models:
        state, side = ("new", new) if model in new.models else ("gone", old)
        accuracy = _recorded(side, model).metrics["test.accuracy"]
        diff.states[model] = f"{state}: accuracy {100 * accuracy:.2f} %"
    elif old.outputs_of(model) == new.outputs_of(model):
        diff.states[model] = "unchanged"
    else:
        diff.models[model] = _compare(model, old, new, diff)


def _compare(model: str, old: Side, new: Side, diff: Diff) -> Difference:
    results = {"old": _recorded(old, model), "new": _recorded(new, model)}
    times, reasons = comparable_times({name: r.training for name, r in results.items()})
    pair = None
    digest = new.test_md5(model)
    if digest and digest == old.test_md5(model):
        new.revision.fetch(WORKSPACE.split("test"))
        with new.revision.reading():
            test = new.artifacts.read_split("test").data
        a, b = (Candidate(name, r.predicted, times[name]) for name, r in results.items())
        pair = compare_pair(a, b, test.labels, test.groups)
    else:
        diff.notes.append(f"{model}: evaluated on other test rows, so without paired test")
    diff.notes += [f"{model}: {reason}" for reason in reasons]
    first, second = results.values()
    metrics = changes(first.metrics, second.metrics)
    return Difference(metrics, changes(first.sensitivity, second.sensitivity), pair)


def _recorded(side: Side, model: str) -> Recorded:
    trained = WORKSPACE.trained(model)
    paths = WORKSPACE.evaluated(model)
    texts = paths.metrics, paths.statistics, paths.behaviour
    side.revision.fetch(trained.metrics, trained.run, paths.predictions, *texts)
    with side.revision.reading():
        metrics = _metrics(side, model)
        evaluated = side.artifacts.evaluated(model)
        statistics = read_json(evaluated.statistics, dict[str, ClassFigures])
        by_class = statistics["test"].by_class
        sensitivity = {name: figures.get("sensitivity") for name, figures in by_class.items()}
        predicted = evaluated.read_predictions()["test"].argmax(axis=1)
        cpu = read_json(side.artifacts.trained(model).run, Run).tags.get("cpu", "")
        training = Training(metrics["elapsed_s"], metrics.get("shared_cores", 0.0), cpu)
        return Recorded(metrics, sensitivity, predicted, training)


def _metrics(side: Side, model: str) -> Metrics:
    evaluated = side.artifacts.evaluated(model)
    size = provenance.recorded_size(WORKSPACE.trained(model).model, side.root)
    metrics: Metrics = {
        **flatten(evaluated.read_metrics()),
        **side.artifacts.trained(model).read_metrics(),
        "size_mb": size / 1e6,
        **flatten({"behaviour": evaluated.read_behaviour()}),
    }
    metrics = {name: value for name, value in metrics.items() if isfinite(value)}
    if "test.accuracy" not in metrics or metrics.get("elapsed_s", 0) <= 0:
        raise DataError(f"{model}: its test accuracy or training time is no number above 0")
    return metrics
