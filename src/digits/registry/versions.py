"""Versions and aliases of one registered model, through MLflow's client."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

from digits.core.errors import DataError, IntegrityError, UsageError
from digits.registry import history
from digits.registry.history import Move, or_forbidden
from digits.registry.ledger import NOTHING, Turn
from digits.tracking import descriptions
from digits.tracking.logged_model import MODEL_SHA256
from digits.tracking.store import ignoring

CHAMPION = "champion"
CHALLENGER = "challenger"
# The last one is what MLflow's basic-auth says of missing things to all but administrators.
MISSING = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "PERMISSION_DENIED")
_URI = re.compile(r"models:/(?P<name>[^/@]+)(/(?P<version>\d+)|@(?P<alias>[^/@]+))")


@dataclass(frozen=True, slots=True)
class TrainedRun:
    """A finished run, the model that it logged, and its tags."""

    run_id: str
    model_id: str
    tags: Mapping[str, str]

    @property
    def uri(self) -> str:
        """The model's address in MLflow."""
        return f"models:/{self.model_id}"

    @property
    def sha256(self) -> str:
        """The SHA-256 of the model's files that was recorded when the run logged it.

        Raises:
            IntegrityError: none was recorded.
        """
        if MODEL_SHA256 not in self.tags:
            raise IntegrityError(
                f"run {self.run_id}: no hash of its model was recorded when it was logged, so the "
                "files may have changed since; train it again: "
                f"`dvc repro -f -s train@{self.tags.get('model', 'MODEL')}`"
            )
        return self.tags[MODEL_SHA256]


def find(uri: str) -> ModelVersion:
    """The version at `models:/NAME/VERSION` or `models:/NAME@ALIAS`.

    Raises:
        UsageError: the address has another form, or there is no such version.
    """
    parts = _URI.fullmatch(uri)
    if parts is None:
        raise UsageError(f"{uri}: models:/NAME/VERSION or models:/NAME@ALIAS is allowed")
    client, name = MlflowClient(), parts["name"]
    with ignoring(*MISSING):
        if parts["alias"]:
            return client.get_model_version_by_alias(name, parts["alias"])
        return client.get_model_version(name, parts["version"])
    raise UsageError(f"{uri}: {_why_missing(client, name, parts['alias'])}")


def trained_run(run_id: str, model_id: str | None = None) -> TrainedRun:
    """The run with this id, and a model that it logged; the last one if `model_id` is None.

    Raises:
        UsageError: there is no such run, or it was deleted.
        DataError: it is not finished, or logged no model.
    """
    run = None
    with ignoring(*MISSING):
        run = MlflowClient().get_run(run_id)
    if run is None:
        raise UsageError(f"run {run_id}: unknown to the tracking store{or_forbidden()}")
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
    return TrainedRun(run_id, model_id or models[-1].model_id, run.data.tags)


class Registry:
    """One registered model. To change it, hold the turn that `lock.exclusive` gives."""

    def __init__(self, name: str, turn: Turn | None = None) -> None:
        self.name = name
        self._client = MlflowClient()
        self._turn = turn or Turn()

    def uri(self, version: str) -> str:
        """The address of a version."""
        return f"models:/{self.name}/{version}"

    def champion(self) -> str | None:
        """The champion's version number; None if there is none."""
        return _alias(self._model(), CHAMPION)

    def moves(self) -> list[Move]:
        """Every move of the champion's alias, oldest first."""
        return self._recorded_and_settled()[1]

    def settle(self) -> list[Move]:
        """Complete or delete what an interrupted move left; record moves made by other means.

        Returns every move; the target of the last one is the champion.
        """
        self._complete(self._turn.last)
        recorded, settled = self._recorded_and_settled()
        for move in recorded[len(settled) :]:
            with ignoring("PERMISSION_DENIED"):  # the next move gets this tag
                self._client.delete_registered_model_tag(self.name, move.key)
        for move in settled:
            if move not in recorded:
                self._write(move)
        return settled

    def register(self, run: TrainedRun) -> str:
        """The version of this run's model; created if missing."""
        with ignoring("RESOURCE_ALREADY_EXISTS"):
            self._client.create_registered_model(self.name)
        if not self._client.get_registered_model(self.name).description:
            text = descriptions.of_registered_model(self.name)
            self._client.update_registered_model(self.name, text)
        filter_string = f"name = '{self.name}' and run_id = '{run.run_id}'"
        for version in self._client.search_model_versions(filter_string):
            # a version registered by hand may hold another model of this run
            if version.tags.get(MODEL_SHA256) == run.sha256:
                return str(version.version)
        created = self._client.create_model_version(
            self.name,
            run.uri,
            run_id=run.run_id,
            model_id=run.model_id,
            tags={MODEL_SHA256: run.sha256},
        )
        self._name_in_logged_model(run.model_id, str(created.version))
        return str(created.version)

    def _name_in_logged_model(self, model_id: str, version: str) -> None:
        """Let MLflow's page of the logged model name its version, as a server does by itself."""
        if MLFLOW_MODEL_VERSIONS not in self._client.get_logged_model(model_id).tags:
            named = json.dumps([{"name": self.name, "version": version}])
            self._client.set_logged_model_tags(model_id, {MLFLOW_MODEL_VERSIONS: named})

    def set_challenger(self, version: str) -> None:
        """Point the challenger's alias at a version."""
        self._client.set_registered_model_alias(self.name, CHALLENGER, version)

    def drop_challenger(self, version: str) -> None:
        """Delete the challenger's alias if it names this version."""
        if _alias(self._model(), CHALLENGER) == version:
            with ignoring(
                "PERMISSION_DENIED"
            ):  # EDIT, which suffices for the rest, deletes nothing
                self._client.delete_registered_model_alias(self.name, CHALLENGER)

    def move(self, move: Move) -> None:
        """Point the champion's alias at `move.after`; the record survives a kill at any moment.

        Raises:
            BusyError: another process took this one for dead; nothing was moved.
        """
        model = self._client.get_registered_model(self.name)
        decided = f"{model.creation_timestamp} {move.to_json()}"  # a namesake has another time
        self._turn.decide(decided)
        self._make(move)
        # if this process was stopped in mid-move for so long that others followed, theirs counts
        while (latest := self._turn.latest()) not in (decided, NOTHING):
            decided = latest
            self._set_champion(_decided_move(latest)[1])

    def _complete(self, decided: str) -> None:
        """Make the move that was decided last, if its process did not."""
        if decided == NOTHING or not (model := self._model()):
            return
        made, move = _decided_move(decided)
        recorded = history.read(model.tags)
        by_hand = _alias(model, CHAMPION) not in (move.before, move.after)
        if made != str(model.creation_timestamp) or by_hand or len(recorded) < move.number - 1:
            return
        if recorded[move.number - 1 :] in ([], [move]):
            with ignoring(*MISSING):  # the version may have been deleted since
                self._make(move)

    def _make(self, move: Move) -> None:
        self._write(move)
        self._set_champion(move)
        self._write(replace(move, done=True))

    def _set_champion(self, move: Move) -> None:
        assert move.after is not None
        self._client.set_registered_model_alias(self.name, CHAMPION, move.after)

    def _recorded_and_settled(self) -> tuple[list[Move], list[Move]]:
        model = self._model()
        recorded = history.read(model.tags if model else {})
        return recorded, history.settle(recorded, _alias(model, CHAMPION))

    def _write(self, move: Move) -> None:
        self._client.set_registered_model_tag(self.name, move.key, move.to_json())

    def _model(self) -> RegisteredModel | None:
        found = self._client.search_registered_models(f"name = '{self.name}'")
        return found[0] if found else None


def _alias(model: RegisteredModel | None, alias: str) -> str | None:
    """The version number that it names."""
    version = model.aliases.get(alias) if model else None
    return None if version is None else str(version)


def _decided_move(decided: str) -> tuple[str, Move]:
    """When the registered model was made, and the move, as `Registry.move` fixed them."""
    made, _, text = decided.partition(" ")
    return made, history.parse(text, "param `decided` of the ledger's last run")


def _why_missing(client: MlflowClient, name: str, alias: str | None) -> str:
    versions = client.search_model_versions(f"name = '{name}'")
    if not versions:
        nothing = f"nothing is registered as {name}{or_forbidden()}"
        return f"{nothing}; `digits promote MODEL` registers a model"
    if alias == CHAMPION:
        return "there is no champion yet; `digits promote MODEL` makes one"
    if alias:
        return f"no version has the alias {alias}"
    numbers = sorted(int(version.version) for version in versions)
    return f"no such version; there are {', '.join(map(str, numbers))}"
