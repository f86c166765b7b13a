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
        self.models = [
            name
            for name in (listed if isinstance(listed, list) else [])
            if _is_name(name) and EvaluateOutputs(name).metrics in self.outputs
        ]

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
        missing = [path for path in paths if not (self.root / path).exists()]
        self.revision.download(missing, self.root)
        with self.reading():
            provenance.check_outputs(paths, self.root)

    def of_model(self, model: str) -> dict[Path, str]:
        """The md5 of each output of a model's stages."""
        folders = TrainOutputs(model).folder, EvaluateOutputs(model).folder
        return {path: digest for path, digest in self.outputs.items() if path.parent in folders}

    def rows(self, model: str) -> set[tuple[str, str]]:
        """The splits that the model was evaluated on and that are still recorded, with md5."""
        read = provenance.recorded_inputs(f"evaluate@{model}", self.root).items()
        paths = {split_path(split): split for split in EVALUATED}
        return {(paths[path], md5) for path, md5 in read & self.outputs.items() if path in paths}

    def params(self) -> dict[str, Any]:
        """All params by dotted key, as JSON has them.

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
        plain = json.dumps(made, default=str, skipkeys=True)
        values: dict[str, Any] = json.loads(plain, parse_constant=str)  # NaN as text
        return values


def _is_name(value: object) -> bool:
    """Whether it can name a module, and so neither a path nor Markdown."""
    return isinstance(value, str) and value.isidentifier() and len(value) <= 100
