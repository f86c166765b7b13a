"""The results that one revision records, read without a checkout."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from digits import params as parameters
from digits.core import provenance
from digits.core.artifacts import EVALUATED, EvaluateOutputs, TrainOutputs, split_path
from digits.core.errors import DataError, IntegrityError, ServiceError, UsageError
from digits.core.files import md5
from digits.core.revision import Revision
from digits.evaluation.difference import changes


class Side:
    """The results recorded at a revision; files are copied to `root` when they are read."""

    def __init__(self, revision: Revision, root: Path) -> None:
        self.revision, self.root = revision, root
        revision.download([provenance.OUTPUTS, parameters.PATH], root)
        with self.reading():
            self.outputs = provenance.recorded_outputs(root)
            self.raw = parameters.read(root / parameters.PATH)
        listed = self.raw.get("models")
        named = filter(_is_name, listed if isinstance(listed, list) else [])
        self.models = [name for name in named if EvaluateOutputs(name).metrics in self.outputs]
        self.stages = [f"{kind}@{name}" for name in self.models for kind in ("train", "evaluate")]
        self.params, stale = self._params()
        self.stale = {"params.yaml": stale, "code": self._changed_code()}

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Errors name the revision, not the folder to which its files were copied."""
        try:
            yield
        except (DataError, IntegrityError, UsageError) as error:
            lines = [line.replace(f"{self.root}/", "") for line in error.findings]
            raise type(error)(*(f"{self.revision.name}: {line}" for line in lines)) from None

    def fetch(self, *paths: Path) -> None:
        """Copy outputs to `root`, and check that they are what dvc.lock records."""
        self.revision.download(
            [path for path in paths if not (self.root / path).exists()], self.root
        )
        with self.reading():
            provenance.check_outputs(paths, self.root)

    def of_model(self, model: str) -> dict[Path, str]:
        """The md5 of each output of a model's stages."""
        folders = TrainOutputs(model).folder, EvaluateOutputs(model).folder
        return {path: digest for path, digest in self.outputs.items() if path.parent in folders}

    def rows(self, model: str) -> dict[str, str]:
        """The md5 of each split that the model was evaluated on, if the split is still recorded."""
        read = provenance.recorded_inputs(f"evaluate@{model}", self.root)
        paths = {split: split_path(split) for split in EVALUATED}
        return {
            split: read[path]
            for split, path in paths.items()
            if path in read and read[path] == self.outputs.get(path)
        }

    def _params(self) -> tuple[dict[str, Any], list[str]]:
        """All params by dotted key, and the keys that have changed since the results were made.

        The values are those of dvc.lock, which the stages ran with; params.yaml gives the others.
        """
        recorded: dict[str, Any] = {}
        for stage in ("validate", "split", *self.stages):
            recorded |= provenance.recorded_params(stage, self.root)
        present = parameters.flatten(self.raw)
        covered = {
            key: value
            for key, value in present.items()
            if any(f"{key}.".startswith(f"{block}.") for block in recorded)
        }
        made = parameters.flatten(recorded)
        stale = [key for key, pair in changes(covered, made).items() if pair.old != pair.new]
        data = {"data (md5)": provenance.recorded_data("split", self.root)}
        others = {key: value for key, value in present.items() if key not in covered}
        return {key: _plain(value) for key, value in (data | others | made).items()}, stale

    def _changed_code(self) -> list[str]:
        """The names of files of src that are not as training and evaluation read them."""
        read = [
            (path, digest)
            for stage in self.stages
            for path, digest in provenance.recorded_inputs(stage, self.root).items()
            if path.parts[:1] == ("src",) and ".." not in path.parts and path.suffix == ".py"
        ]
        changed = [path.name for path, digest in set(read) if self._md5(path) != digest]
        return sorted(set(changed))

    def _md5(self, path: Path) -> str:
        try:
            self.revision.download([path], self.root)
        except ServiceError:
            return ""  # it is gone
        return md5(self.root / path)


def _is_name(value: object) -> bool:
    """Whether it can name a module, and so neither a path nor Markdown."""
    return isinstance(value, str) and value.isidentifier() and len(value) <= 100


def _plain(value: Any) -> Any:
    """As JSON has it; NaN and what JSON cannot hold as text."""
    return json.loads(json.dumps(value, default=str, skipkeys=True), parse_constant=str)
