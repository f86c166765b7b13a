"""The results that one revision records, read without a checkout."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from digits import params as parameters
from digits.core import provenance
from digits.core.artifacts import EVALUATED, EvaluateOutputs, TrainOutputs, split_path
from digits.core.errors import DataError, IntegrityError, UsageError
from digits.core.revision import Revision


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
        self.params = self._params()

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

    def _params(self) -> dict[str, Any]:
        """All params by dotted key.

        The values are those of dvc.lock, which the stages ran with; params.yaml gives the others.
        """
        stages = [f"{kind}@{name}" for name in self.models for kind in ("train", "evaluate")]
        recorded: dict[str, Any] = {}
        for stage in ("validate", "split", *stages):
            recorded |= provenance.recorded_params(stage, self.root)
        others = {
            key: value
            for key, value in parameters.flatten(self.raw).items()
            if not any(f"{key}.".startswith(f"{block}.") for block in recorded)
        }
        data = {"data (md5)": provenance.recorded_data("split", self.root)}
        made = data | others | parameters.flatten(recorded)
        return {key: _plain(value) for key, value in made.items()}


def _is_name(value: object) -> bool:
    """Whether it can name a module, and so neither a path nor Markdown."""
    return isinstance(value, str) and value.isidentifier() and len(value) <= 100


def _plain(value: Any) -> Any:
    """As JSON has it; NaN and what JSON cannot hold as text."""
    return json.loads(json.dumps(value, default=str, skipkeys=True), parse_constant=str)
