"""The model card of a registered version, in Markdown, from what was recorded of it.

Its headings are those of Mitchell et al. 2019, «Model Cards for Model Reporting».
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from mlflow import MlflowClient
from mlflow.artifacts import load_text
from pydantic import BaseModel, TypeAdapter, ValidationError

from digits.core import provenance, repository
from digits.core.artifacts import EVALUATED, EvaluateOutputs
from digits.core.errors import printable
from digits.core.files import text_sha256
from digits.evaluation.behaviour import PERTURBATIONS, fragile_line
from digits.registry.artifacts import ModelFiles
from digits.registry.trace import Origin, check_gate_record

DESCRIPTION_SHA256 = "description_sha256"  # tag of a version: what we wrote as its description
MAX_DESCRIPTION = 5000  # characters: MLflow's column has no room for more
OPTIONAL = ("what the metrics mean", "the params", "the gate's checks", "the classes")
MOST_CLASSES = 30  # in the table; of more, the weakest
MAX_STATISTICS = 1_000_000  # bytes of statistics.json; that of 10 classes has 8,000
MAX_TEXT = 400  # characters of one text of other people's
NAMED = {"clean": "as they are"} | {name: how.words for name, how in PERTURBATIONS.items()}
STATISTICS = EvaluateOutputs("").statistics.name

HARMLESS = re.compile(r"[\w .,:;/@=+()\[\]'→-]{1,200}")
ESCAPES = str.maketrans({c: f"\\{c}" for c in "\\`*_[]~"} | {c: f"&#{ord(c)};" for c in "&<>|"})

# Of each split, by the names that its metrics have after `test_` and `holdout_`.
FIGURES = {
    "rows": "rows",
    "accuracy": "accuracy",
    "kappa": "Cohen's kappa",
    "loss": "log loss",
    "brier": "Brier score",
    "ece": "expected calibration error",
    "coverage_asked": "coverage of answer sets, asked",
    "coverage": "coverage of answer sets",
    "mean_set_size": "classes in an answer set",
    "unsure": "unsure answers",
}
ELSEWHERE = ("classes", "data_md5", "model", "parameters", "split_md5")  # params named above


class _Statistics(BaseModel):
    by_class: dict[str, dict[str, float | None]]


def card(origin: Origin, files: ModelFiles) -> str:
    """The whole card of a version; `files` are its own, fetched and verified.

    Raises:
        MlflowException: the tracking store does not answer.
        IntegrityError: the gate's record of the version is gone or has changed.
    """
    return _render(_facts(origin, files))


def write(origin: Origin, files: ModelFiles) -> None:
    """Log the card beside the gate's record, and make it the version's description.

    A description has less room: sections that do not fit are left out. One that a person has
    changed stays. Raises as `card`.
    """
    facts, client = _facts(origin, files), MlflowClient()
    client.log_text(origin.run_id, _render(facts), facts["path"])
    version = client.get_model_version(origin.model, origin.version)
    present = version.description or ""
    if present and text_sha256(present) != version.tags.get(DESCRIPTION_SHA256):
        return
    text = _description(facts)
    sha256 = text_sha256(text)
    client.set_model_version_tag(origin.model, origin.version, DESCRIPTION_SHA256, sha256)
    client.update_model_version(origin.model, origin.version, text)


def _description(facts: Mapping[str, Any]) -> str:
    for count in range(len(OPTIONAL) + 1):
        text = _render(facts, left_out=OPTIONAL[:count])
        if len(text) <= MAX_DESCRIPTION:
            break
    return text[:MAX_DESCRIPTION]


def _facts(origin: Origin, files: ModelFiles) -> dict[str, Any]:
    """The variables of the template."""
    run = MlflowClient().get_run(origin.run_id)
    metrics, by_class = run.data.metrics, _by_class(origin.run_id)
    behaviour = {k: metrics[f"behaviour_{k}"] for k in NAMED if f"behaviour_{k}" in metrics}
    recognised = {k: v for k in by_class if (v := by_class[k].get("sensitivity")) is not None}
    weakest_first = sorted(by_class, key=lambda name: recognised.get(name, inf))
    shown = weakest_first[:MOST_CLASSES]
    return {
        "origin": origin,
        "files": files,
        "path": f"gate/{origin.model}-{origin.version}-card.md",
        "metrics": metrics,
        "params": {k: v for k, v in origin.params.items() if k not in ELSEWHERE},
        "restored_from": run.data.tags.get("restored_from"),
        "names": [*by_class] or [*range(files.classes)],
        "by_class": {name: figures for name, figures in by_class.items() if name in shown},
        "weakest": next((name for name in weakest_first if name in recognised), None),
        "figures": [*_figures(metrics)],
        "behaviour": {NAMED[name]: accuracy for name, accuracy in behaviour.items()},
        "fragile": fragile_line("It", behaviour) if "clean" in behaviour else None,
        "gate": json.loads(check_gate_record(origin) or "null"),
        "data": provenance.described_data(origin.data_md5, origin.git_commit),
        "code": repository.code_address(),
        "libraries": _libraries(files.folder / "requirements.txt"),
    }


def _figures(metrics: Mapping[str, float]) -> Iterator[list[str]]:
    """For each of FIGURES that was logged: what it is, and its value on each split."""
    for name, words in FIGURES.items():
        if f"test_{name}" in metrics:
            yield [words, *(_with_interval(metrics, f"{split}_{name}") for split in EVALUATED)]


def _with_interval(metrics: Mapping[str, float], name: str) -> str:
    value, *ends = (metrics.get(f"{name}{end}") for end in ("", "_lower", "_upper"))
    interval = "" if None in ends else f" ({' to '.join(map(_number, ends))})"
    return _number(value) + interval


def _by_class(run_id: str) -> dict[str, dict[str, float | None]]:
    """The statistics of each class on the test rows; empty if the run has none that can be read."""
    sizes = {file.path: file.file_size for file in MlflowClient().list_artifacts(run_id)}
    if (sizes.get(STATISTICS) or inf) > MAX_STATISTICS:
        return {}
    try:  # a damaged file must not keep a version from being promoted
        text = load_text(f"runs:/{run_id}/{STATISTICS}")
        return TypeAdapter(dict[str, _Statistics]).validate_json(text)["test"].by_class
    except (ValidationError, KeyError, UnicodeDecodeError, OSError):
        return {}


def _libraries(requirements: Path) -> list[str]:
    return requirements.read_text("utf-8").splitlines() if requirements.exists() else []


def _render(facts: Mapping[str, Any], *, left_out: Sequence[str] = ()) -> str:
    environment = Environment(
        loader=PackageLoader("digits.registry", "."),
        finalize=_escaped,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "code": _code,
        "literal": Markup,
        "number": _number,
        "python": lambda text: Markup(json.dumps(text)),
    }
    return environment.get_template("card.md.j2").render(**facts, left_out=left_out)


def _escaped(value: Any) -> str:
    """A text that somebody else wrote: on one line, with the characters of Markdown escaped."""
    if isinstance(value, Markup):
        return value
    text = printable(str(value))
    return (text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…").translate(ESCAPES)


def _code(value: Any) -> str:
    """As code if it holds harmless characters only, else escaped."""
    text = str(value)
    return Markup(f"`{text}`") if HARMLESS.fullmatch(text) else text


def _number(value: float | None) -> str:
    if value is None:
        return "n/a"
    return f"{value:,.0f}" if value > 1 and value.is_integer() else f"{value:.4f}"
