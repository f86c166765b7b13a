"""The versions of one registered model and its aliases: our few words for MLflow's client."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException

from digits.core.errors import DataError, IntegrityError, UsageError
from digits.registry import history as journal
from digits.registry.history import Move
from digits.tracking.runs import MODEL_SHA256

CHAMPION = "champion"
CHALLENGER = "challenger"
_URI = re.compile(r"models:/(?P<name>[^/@]+)(/(?P<version>\d+)|@(?P<alias>[^/@]+))")


class Trained(NamedTuple):
    """A run and the model that it logged."""

    run_id: str
    model_id: str

    @property
    def uri(self) -> str:
        """Where MLflow finds the model."""
        return f"models:/{self.model_id}"


def find(uri: str) -> ModelVersion:
    """The version that `models:/NAME/VERSION` or `models:/NAME@ALIAS` names.

    Raises:
        UsageError: it is no such address, or there is no such version.
    """
    parts = _URI.fullmatch(uri)
    if parts is None:
        raise UsageError(f"{uri}: models:/NAME/VERSION or models:/NAME@ALIAS is allowed")
    client, name = MlflowClient(), parts["name"]
    try:
        if parts["alias"]:
            return client.get_model_version_by_alias(name, parts["alias"])
        return client.get_model_version(name, parts["version"])
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        raise UsageError(f"{uri}: {_missing(client, name, parts['alias'])}") from None


def recorded_sha256(model: Trained) -> str:
    """The SHA-256 of a run's model, as it was recorded when it was logged.

    Raises:
        IntegrityError: none was recorded.
    """
    tags: dict[str, str] = MlflowClient().get_run(model.run_id).data.tags
    if MODEL_SHA256 not in tags:
        raise IntegrityError(
            f"run {model.run_id}: no hash of its model was recorded when it was logged, so it may "
            "be another by now; train it again: "
            f"`dvc repro -f -s train@{tags.get('model', 'MODEL')}`"
        )
    return tags[MODEL_SHA256]


def trained(run_id: str) -> Trained:
    """The model that a run logged.

    Raises:
        UsageError: there is no such run, or it was deleted.
        DataError: it logged no model.
    """
    try:
        run = MlflowClient().get_run(run_id)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        raise UsageError(f"run {run_id}: unknown to the tracking store") from None
    if run.info.lifecycle_stage == "deleted":
        raise UsageError(
            f"run {run_id}: was deleted; `mlflow runs restore --run-id` brings it back"
        )
    models = run.outputs.model_outputs if run.outputs else []
    if not models or run.info.status != "FINISHED":
        raise DataError(
            f"run {run_id}: {run.info.status.lower()}, with {len(models)} models; "
            "a finished run with a model is needed"
        )
    return Trained(run_id, models[-1].model_id)


class Registry:
    """One registered model; whoever changes it holds `lock.exclusive`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._client = MlflowClient()

    def champion(self) -> str | None:
        """The champion's version number, None where there is none."""
        model = self._found()
        return _named(model, CHAMPION) if model else None

    def uri(self, version: str) -> str:
        """The address of a version."""
        return f"models:/{self.name}/{version}"

    def moves(self) -> list[Move]:
        """Every move of the champion's alias that was made, oldest first."""
        return self._recorded_and_made()[1]

    def settle(self) -> None:
        """Write down what an interrupted process, or a hand, left out."""
        recorded, settled = self._recorded_and_made()
        for move in recorded[len(settled) :]:
            self._client.delete_registered_model_tag(self.name, move.key)
        for move in settled:
            if move not in recorded:
                self._write(move)

    def register(self, model: Trained) -> str:
        """The version of this run's model, made where there is none yet."""
        try:
            self._client.create_registered_model(self.name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        found = self._client.search_model_versions(
            f"name = '{self.name}' and run_id = '{model.run_id}'"
        )
        sha256 = recorded_sha256(model)
        # one that was registered by hand may hold another model under this run's name
        own = [version for version in found if version.tags.get(MODEL_SHA256, "") == sha256]
        version = next(iter(own), None) or self._client.create_model_version(
            self.name,
            model.uri,
            run_id=model.run_id,
            model_id=model.model_id,
            tags={MODEL_SHA256: sha256},
        )
        return str(version.version)

    def set_challenger(self, version: str) -> None:
        """Point the challenger's alias at a version."""
        self._client.set_registered_model_alias(self.name, CHALLENGER, version)

    def drop_challenger(self, version: str) -> None:
        """Take the challenger's alias off a version that bears it."""
        model = self._found()
        if model and _named(model, CHALLENGER) == version:
            self._client.delete_registered_model_alias(self.name, CHALLENGER)

    def tag(self, version: str, tags: Mapping[str, str]) -> None:
        """Set tags of a version."""
        for key, value in tags.items():
            self._client.set_model_version_tag(self.name, version, key, value)

    def move(self, move: Move) -> None:
        """Point the champion's alias at `move.after`, with a record that survives any kill."""
        assert move.after is not None
        self._write(move)
        self._client.set_registered_model_alias(self.name, CHAMPION, move.after)
        self._write(replace(move, done=True))

    def _recorded_and_made(self) -> tuple[list[Move], list[Move]]:
        model = self._found()
        if model is None:
            return [], []
        recorded = journal.read(model.tags)
        return recorded, journal.settle(recorded, _named(model, CHAMPION))

    def _write(self, move: Move) -> None:
        self._client.set_registered_model_tag(self.name, move.key, move.to_json())

    def _found(self) -> RegisteredModel | None:
        try:
            return self._client.get_registered_model(self.name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None


def _named(model: RegisteredModel, alias: str) -> str | None:
    version = model.aliases.get(alias)
    return None if version is None else str(version)


def _missing(client: MlflowClient, name: str, alias: str | None) -> str:
    versions = client.search_model_versions(f"name = '{name}'")
    if not versions:
        return f"nothing is registered as {name}; `digits promote MODEL` registers a model"
    if alias == CHAMPION:
        return "there is no champion yet; `digits promote MODEL` makes one"
    if alias:
        return f"no version bears the alias {alias}"
    numbers = sorted(int(version.version) for version in versions)
    return f"no such version; there are {', '.join(map(str, numbers))}"
