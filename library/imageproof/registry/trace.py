"""The origin of a version: code, data, params and environment; whether it is still as recorded."""

from ast import literal_eval
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import Any

from mlflow import MlflowClient
from mlflow.artifacts import load_text
from mlflow.exceptions import MlflowException
from pydantic import TypeAdapter, ValidationError

from imageproof.base.errors import IntegrityError
from imageproof.base.files import text_sha256
from imageproof.base.text import one_line
from imageproof.mlflow import store
from imageproof.mlflow.logged_model import MODEL_SHA256
from imageproof.mlflow.runs import own_tags
from imageproof.outputs import SPLIT_TAGS
from imageproof.registry.model_files import fetched
from imageproof.registry.versions import MISSING, find


@dataclass(frozen=True, slots=True)
class Origin:
    """What a version was made from, such as tags of its run; empty strings for what is unknown.

    `splits`: md5 by name of split. `params`: the training's, as its run logged them.
    `gate`: the tags that the gate set on the version.
    """

    model: str
    version: str
    aliases: list[str]
    run_id: str
    experiment: str
    git_commit: str
    git_dirty: str
    git_changed: str
    data_md5: str
    splits: dict[str, str]
    lock_md5: str
    model_sha256: str
    outputs: str
    python: str
    cpu: str
    cpu_features: str
    device: str
    flow_run: str
    dvc_exp: str
    dvc_stage: str
    changed: str
    params: dict[str, Any]
    gate: dict[str, str]

    @property
    def uri(self) -> str:
        return f"models:/{self.model}/{self.version}"

    def param(self, key: str, kind: Any, default: Any = None) -> Any:
        """A param of the training; IntegrityError if it is not of this kind.

        Whoever can write into MLflow's database can forge it.
        """
        value = self.params.get(key, default)
        try:
            return TypeAdapter(kind).validate_python(value)
        except ValidationError:
            found = f"the param {key} is {value!r} in its run {self.run_id}"
            raise IntegrityError(
                f"{self.uri}: {found}; no training logs that; train it again"
            ) from None


def find_origin(uri: str) -> Origin:
    """The origin of the version at `models:/…`; IntegrityError if its run was deleted for good."""
    version, client, run = find(uri), MlflowClient(), None
    with store.ignoring(*MISSING):
        run = client.get_run(version.run_id or "")
    if run is None:
        raise IntegrityError(f"{uri}: its run {version.run_id} is gone, or you may not read it")
    tags, of_version = own_tags(run.data.tags), own_tags(version.tags)
    params: dict[str, Any] = dict(sorted(run.data.params.items()))
    for key, text in params.items():
        with suppress(ValueError, SyntaxError, RecursionError, MemoryError):  # it is no literal
            params[key] = literal_eval(text)
    known: dict[str, Any] = {
        "model": version.name,
        "version": str(version.version),
        "aliases": sorted(version.aliases),
        "run_id": run.info.run_id,
        "experiment": client.get_experiment(run.info.experiment_id).name,
        "splits": {split: tags[tag] for split, tag in SPLIT_TAGS.items() if tag in tags},
        "model_sha256": of_version.get(MODEL_SHA256) or tags.get(MODEL_SHA256, ""),
        "flow_run": tags.get("prefect_flow_run_id", ""),
        "params": params,
        "gate": {key: text for key, text in sorted(of_version.items()) if key.startswith("gate")},
    }
    return Origin(**{field.name: tags.get(field.name, "") for field in fields(Origin)} | known)


def check_unchanged(origin: Origin) -> None:
    """Raise IntegrityError if a version's files, or the gate's record, are not as recorded."""
    with fetched(origin.uri, origin.model_sha256):
        check_gate_record(origin)


def check_gate_record(origin: Origin) -> str:
    """The gate's record, empty if never judged; IntegrityError if it is gone or has changed."""
    if "gate_sha256" not in origin.gate:
        return ""
    record, sha256 = origin.gate.get("gate_record", ""), origin.gate["gate_sha256"]
    try:
        text = load_text(record)
    except (MlflowException, OSError) as error:
        if store.is_away(error):
            raise
        raise IntegrityError(f"{record}: is gone ({one_line(error)})") from None
    if (actual := text_sha256(text)) != sha256:
        found = f"is not what the gate wrote (SHA-256 of it {actual[:12]}, recorded {sha256[:12]})"
        hint = "the tags of the version hold what the gate decided"
        raise IntegrityError(f"{record}: {found}; {hint}")
    return text
