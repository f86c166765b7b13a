"""The model card of a version, with the headings of Mitchell et al. 2019, «Model Cards»."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from markupsafe import Markup
from mlflow import MlflowClient

from imageproof.base._dataset import EVALUATED
from imageproof.base.files import read_json, scratch, text_sha256
from imageproof.base.text import markdown
from imageproof.dvc import provenance
from imageproof.features._backbone import backbone_path
from imageproof.judge._caret import weakest
from imageproof.judge._figures import column
from imageproof.mlflow._page import HISTORY
from imageproof.mlflow._runs import own_tags, tag
from imageproof.outputs import ClassFigures
from imageproof.pages._templates import templates
from imageproof.pictures._conversion import TREATMENTS
from imageproof.registry._model_files import GoneError, download
from imageproof.registry._version import Origin, Version
from imageproof.registry._versions import Registry
from imageproof.system import _repository

DESCRIPTION_SHA256 = tag("description_sha256")  # tag of a version: what we wrote as its description
MAX_DESCRIPTION = 5000  # characters: MLflow's column has no room for more

ELSEWHERE = ("classes", "data_md5", "model", "parameters", "split_md5")  # params named above


def card(version: Version) -> str:
    return _render("card.md.j2", **_facts(version))


def write(version: Version) -> None:
    """Log the card beside the gate's record; without its title it is the version's description.

    MLflow's tables show how that begins. What it has no room for is cut off; a person's stays.
    """
    text = card(version)
    client = MlflowClient()
    origin = version.origin
    path = f"gate/{origin.model}-{origin.version}-card.md"
    client.log_text(origin.run_id, text, path)
    registered = client.get_model_version(origin.model, origin.version)
    present = registered.description or ""
    if present and text_sha256(present) != registered.tags.get(DESCRIPTION_SHA256):
        return
    _, _, text = text.partition("\n\n")
    text = _cut(text, f"\n\nThe whole card: {path} among its run's artifacts.\n")
    sha256 = text_sha256(text)
    client.set_model_version_tag(origin.model, origin.version, DESCRIPTION_SHA256, sha256)
    client.update_model_version(origin.model, origin.version, text)


def write_history(registry: Registry) -> None:
    """Show the moves of the champion in the model's description, the newest first."""
    client = MlflowClient()
    present = client.get_registered_model(registry.name).description or ""
    introduction, heading, _ = present.partition(HISTORY)
    if not heading:  # it is a person's
        return
    table = _render("history.md.j2", moves=registry.moves()[::-1])
    client.update_registered_model(registry.name, _cut(f"{introduction}{HISTORY}\n\n{table}"))


def _render(name: str, **values: Any) -> str:
    environment = templates("imageproof.registry", autoescape=False, finalize=_escaped)
    environment.filters["number"] = _number
    return environment.get_template(name).render(values)


def _cut(text: str, end: str = "") -> str:
    """What a description has room for: whole lines, with `end` if some are left out."""
    if len(text) <= MAX_DESCRIPTION:
        return text
    return text[: MAX_DESCRIPTION - len(end)].rpartition("\n")[0] + end


def _facts(version: Version) -> dict[str, Any]:
    origin = version.origin
    files = version.files
    run = MlflowClient().get_run(origin.run_id)
    metrics = run.data.metrics
    by_class = _by_class(origin.run_id)
    tags = own_tags(run.data.tags)
    return {
        "origin": origin,
        "files": files,
        "treatment": TREATMENTS[version.fit],
        "metrics": metrics,
        "accuracy": _with_interval(metrics, "holdout_accuracy"),
        "params": {k: v for k, v in origin.params.items() if k not in ELSEWHERE},
        "restored_from": tags.get("restored_from"),
        "baseline": tags.get("baseline"),
        "by_class": by_class,
        "weakest": weakest(by_class)[0] if by_class else None,
        "figures": _figures(metrics),
        "gate": json.loads(origin.check_gate_record() or "null"),
        "data": provenance.described_data(origin.data_md5, origin.git_commit),
        "backbone": _backbone(origin),
        "code": _repository.origin(),
        "libraries": (files.folder / "requirements.txt").read_text("utf-8").splitlines(),
    }


def _backbone(origin: Origin) -> dict[str, str]:
    """What its .dvc file says of the network whose features the model uses."""
    name = origin.params.get("backbone")
    if not isinstance(name, str):
        return {}
    return {"name": name} | provenance.described_file(backbone_path(name), origin.git_commit)


def _figures(metrics: Mapping[str, float]) -> list[list[str]]:
    """Heading, figure on the test rows and figure on the hold-out rows, with intervals."""
    return [
        [heading, *(_with_interval(metrics, key.replace("test", split, 1)) for split in EVALUATED)]
        for key, heading in column("card").items()
        if key in metrics
    ]


def _by_class(run_id: str) -> dict[str, dict[str, float | None]]:
    """The figures of each class on the test rows; empty if the run was not evaluated."""
    with suppress(GoneError), scratch() as folder:
        path = download(f"runs:/{run_id}/statistics.json", folder)
        return read_json(path, dict[str, ClassFigures])["test"].by_class
    return {}


def _with_interval(metrics: Mapping[str, float], name: str) -> str:
    value = _number(metrics.get(name))
    ends = [metrics.get(f"{name}_lower"), metrics.get(f"{name}_upper")]
    return value if None in ends else f"{value} ({' to '.join(map(_number, ends))})"


def _escaped(value: Any) -> str:
    return value if isinstance(value, Markup) else markdown(str(value))


def _number(value: float | None) -> str:
    if value is None:
        return "n/a"
    return f"{value:,.0f}" if value > 1 and value.is_integer() else f"{value:.4f}"
