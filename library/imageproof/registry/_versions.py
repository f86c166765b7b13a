"""Versions and aliases of one registered model, through MLflow's client."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from getpass import getuser
from typing import NamedTuple
from urllib.parse import urlsplit

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.utils.credentials import read_mlflow_creds

from imageproof.base._naming import project_name
from imageproof.base.errors import DataError, UsageError
from imageproof.base.files import text_sha256
from imageproof.judge.gate import Decision
from imageproof.mlflow import _runs, _store
from imageproof.mlflow._logged_model import MODEL_SHA256
from imageproof.mlflow._page import VERSIONS, named
from imageproof.mlflow._runs import tag
from imageproof.mlflow._store import ignoring
from imageproof.registry import _history
from imageproof.registry._history import Move

CHAMPION = "champion"
CHALLENGER = "challenger"
# The last one is what MLflow's basic-auth says of missing things to all but administrators.
MISSING = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "PERMISSION_DENIED")
_URI = re.compile(
    r"models:/(?P<name>[^/@'\ud800-\udfff]+)(/(?P<version>\d{1,9})|@(?P<alias>[^/@]+))"
)


class TrainedRun(NamedTuple):
    run_id: str
    model_id: str
    tags: Mapping[str, str]  # ours, by our names

    @property
    def uri(self) -> str:
        return f"models:/{self.model_id}"

    @property
    def sha256(self) -> str:
        """The recorded SHA-256 of the model's files; empty if none was recorded."""
        return self.tags.get(MODEL_SHA256, "")


def find(uri: str) -> ModelVersion:
    """The version at `models:/NAME/VERSION` or `models:/NAME@ALIAS`; UsageError if none."""
    if not (parts := _URI.fullmatch(uri)):
        raise UsageError(f"{uri}: models:/NAME/VERSION or models:/NAME@ALIAS is allowed")
    client = MlflowClient()
    name = parts["name"]
    with ignoring(*MISSING):
        if parts["alias"]:
            return client.get_model_version_by_alias(name, parts["alias"])
        return client.get_model_version(name, parts["version"])
    versions = sorted(Registry(name).versions(), key=int)
    present = f"there are {', '.join(versions)}" if versions else "there is none"
    hint = f"{present}; `{project_name()} promote MODEL` makes a champion"
    raise UsageError(f"{uri}: no such version that you may read, {hint}")


def find_run(run_id: str) -> Run | None:
    """A run; None if there is none that you may read."""
    with ignoring(*MISSING):
        return MlflowClient().get_run(run_id)
    return None


def trained_run(run_id: str) -> TrainedRun:
    """A run and the last model that it logged; DataError if it is not finished, or has none."""
    run = find_run(run_id)
    if run is None or run.info.lifecycle_stage == "deleted":
        raise UsageError(f"run {run_id}: unknown, deleted, or you may not read it")
    model = _runs.model_id(run)
    status = run.info.status
    if not model or status != "FINISHED":
        finding = f"{status.lower()}, {'with a' if model else 'without'} model"
        raise DataError(f"run {run_id}: {finding}; a finished run with a model is needed")
    return TrainedRun(run_id, model, _runs.own_tags(run.data.tags))


class Registry:
    def __init__(self, name: str) -> None:
        self.name = name
        self._client = MlflowClient()

    def uri(self, version: str) -> str:
        return f"models:/{self.name}/{version}"

    def champion(self) -> str | None:
        return _alias(self._model(), CHAMPION)

    def moves(self) -> list[Move]:
        """Every move of the champion's alias, oldest first; the last one leads to the champion."""
        model = self._model()
        return _history.read(model.tags, _alias(model, CHAMPION), self.versions())

    def versions(self) -> dict[str, Mapping[str, str]]:
        """The tags of each version that exists."""
        versions = self._client.search_model_versions(f"name = '{self.name}'")
        return {str(version.version): version.tags for version in versions}

    def register(self, run: TrainedRun) -> str:
        """The version of this run's model; created if missing."""
        with ignoring("RESOURCE_ALREADY_EXISTS"):
            self._client.create_registered_model(self.name, description=named(VERSIONS))
        same_run = f"name = '{self.name}' and run_id = '{run.run_id}'"
        numbers = [
            int(version.version)
            for version in self._client.search_model_versions(same_run)
            if version.source == run.uri  # else, registered by hand, it is another model
        ]
        if numbers:  # several, if an answer of the server was lost: we went on with the last
            return str(max(numbers))
        tags = {tag(MODEL_SHA256): run.sha256}
        created = self._client.create_model_version(
            self.name, run.uri, run.run_id, tags, model_id=run.model_id
        )
        return str(created.version)

    def set_tags(self, version: str, tags: Mapping[str, str]) -> None:
        """Set tags of a version, in this order; `tags` are ours, by our names."""
        for name, value in tags.items():
            self._client.set_model_version_tag(self.name, version, tag(name), value)

    def record(
        self,
        run: TrainedRun,
        decision: Decision,
        move: Move,
    ) -> None:
        """Log a decision of the gate to the run, and its gist as tags of the version."""
        version = str(move.after)
        record = {
            "at": move.at,
            "by": move.by,
            "reason": move.reason,
            "model": self.name,
            "version": version,
            "accepted": decision.accepted,
            **asdict(decision),
        }
        text = json.dumps(record, indent=2, allow_nan=False)
        path = f"gate/{self.name}-{version}-{move.at.replace(':', '')}.json"
        self._client.log_text(run.run_id, text, path)
        tags = {
            "gate_approval": decision.approval,
            "gate_failed": ", ".join(decision.failed),
            "gate_record": f"runs:/{run.run_id}/{path}",
            "gate_sha256": text_sha256(text),
            "gate": decision.verdict,  # last: a rollback trusts it
        }
        self.set_tags(version, tags)

    def set_alias(self, alias: str, version: str) -> None:
        self._client.set_registered_model_alias(self.name, alias, version)

    def move(self, move: Move) -> bool:
        """Point the champion's alias from `move.before` at `move.after`, and record the move.

        The version is challenger no more. False if another moved the alias: nothing is done if it
        was before, and the champion is the other one if it was after.
        """
        moves = self.moves()
        if _history.champion_of(moves) != move.before:
            return False
        version = str(move.after)
        self._client.set_model_version_tag(self.name, version, move.key, move.to_json())
        self.set_alias(CHAMPION, version)
        # the last move has no tag yet if it was made by other means
        for link in (*moves[-1:], move):
            self._client.set_registered_model_tag(self.name, link.key, link.to_tag())
        model = self._model()
        if _alias(model, CHALLENGER) == version:
            with ignoring("PERMISSION_DENIED"):  # EDIT allows the rest, and no deletion
                self._client.delete_registered_model_alias(self.name, CHALLENGER)
        return _alias(model, CHAMPION) == version

    def _model(self) -> RegisteredModel:
        """The registered model; one without tags and aliases if there is none."""
        models = self._client.search_registered_models(f"name = '{self.name}'")
        return models[0] if models else RegisteredModel(self.name)


def account() -> str:
    """Name of who decides: the user of MLflow's server if there is one, else the system account."""
    uri = _store.tracking_uri()
    user = urlsplit(uri).username or read_mlflow_creds().username
    try:
        return (uri.startswith("http") and user) or getuser()
    except (KeyError, OSError):  # an account without a name, as in some containers
        return "unknown"


def _alias(model: RegisteredModel, alias: str) -> str | None:
    version = model.aliases.get(alias)
    return version and str(version)
