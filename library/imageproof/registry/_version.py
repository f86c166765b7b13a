"""A registered version: what it was made from, its verified files, and how it answers."""

from ast import literal_eval
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from mlflow import MlflowClient
from pydantic import TypeAdapter, ValidationError

from imageproof.base._dataset import Fit, Images, Probabilities
from imageproof.base._inference import Network
from imageproof.base.errors import AnswersError, IntegrityError
from imageproof.mlflow._logged_model import MODEL_SHA256
from imageproof.mlflow._runs import own_tags
from imageproof.outputs import SPLIT_TAGS
from imageproof.registry._model_files import ModelFiles, fetched, written_by_gate
from imageproof.registry._versions import find, find_run


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

    @property
    def verdict(self) -> str:
        """The gate's, such as `refused by min_accuracy`."""
        if "gate" not in self.gate:
            return "judged by no gate"
        verdict = self.gate["gate"]
        failed = self.gate.get("gate_failed")
        return f"{verdict} by {failed}" if failed else verdict

    def param(
        self,
        key: str,
        kind: Any,
        default: Any = None,
    ) -> Any:
        """A param of the training; IntegrityError if it is not of this kind.

        Whoever can write into MLflow's database can forge it.
        """
        value = self.params.get(key, default)
        try:
            return TypeAdapter(kind).validate_python(value)
        except ValidationError:
            finding = f"the param {key} is {value!r} in its run {self.run_id}"
            raise IntegrityError(
                f"{self.uri}: {finding}; no training logs that; train it again"
            ) from None

    def check_gate_record(self) -> str:
        """The gate's record, empty if never judged; IntegrityError if it is gone or has changed."""
        if not {"gate_sha256", "gate"} <= self.gate.keys():  # a judgement sets the latter last
            return ""
        record = self.gate.get("gate_record", "the gate's record")
        return written_by_gate(record, self.gate["gate_sha256"]).decode()

    def check_unchanged(self) -> None:
        """Raise IntegrityError if the version's files or the gate's record are not as recorded."""
        with fetched(self.uri, self.model_sha256):
            self.check_gate_record()


@dataclass(frozen=True, eq=False)
class Version:
    """A version and a verified copy of its files."""

    origin: Origin
    files: ModelFiles
    threads: int = 1

    @property
    def fit(self) -> Fit:
        """How pictures of other sizes become its input."""
        fit: Fit = self.origin.param("image.fit", Fit, "digit")  # as it was where none is recorded
        return fit

    @cached_property
    def network(self) -> Network:
        return self.files.load(threads=self.threads)

    def predict(self, images: Images) -> Probabilities:
        """Class probabilities float32 (n, classes) of raw images uint8 (n, *files.shape)."""
        try:
            return self.network.ask(images)
        except AnswersError as error:
            raise IntegrityError(f"{self.origin.uri}: {error}; delete the version") from None


@contextmanager
def load_version(uri: str, *, threads: int) -> Iterator[Version]:
    """The version at `models:/…`; IntegrityError if run or files are gone, changed or no model."""
    origin = find_origin(uri)
    with fetched(origin.uri, origin.model_sha256) as files:
        version = Version(origin, files, threads)
        _ = version.network, version.fit  # what is damaged is an error at once
        yield version


def find_origin(uri: str) -> Origin:
    """The origin of the version at `models:/…`; IntegrityError if its run was deleted for good."""
    version = find(uri)
    run = find_run(version.run_id or "")
    if run is None:
        raise IntegrityError(f"{uri}: its run is gone (delete the version), or you may not read it")
    tags = own_tags(run.data.tags)
    version_tags = own_tags(version.tags)
    values: dict[str, Any] = {
        "model": version.name,
        "version": str(version.version),
        "aliases": sorted(version.aliases),
        "run_id": run.info.run_id,
        "experiment": MlflowClient().get_experiment(run.info.experiment_id).name,
        "splits": {split: tags[tag] for split, tag in SPLIT_TAGS.items() if tag in tags},
        "model_sha256": version_tags.get(MODEL_SHA256) or tags.get(MODEL_SHA256, ""),
        "flow_run": tags.get("prefect_flow_run_id", ""),
        "params": {key: _literal(text) for key, text in sorted(run.data.params.items())},
        "gate": {key: text for key, text in sorted(version_tags.items()) if key.startswith("gate")},
    }
    return Origin(**{field.name: tags.get(field.name, "") for field in fields(Origin)} | values)


def _literal(text: str) -> Any:
    with suppress(ValueError, SyntaxError, RecursionError, MemoryError):  # it is no literal
        return literal_eval(text)
    return text
