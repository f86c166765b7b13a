"""Which rows a version has seen: their hashes lie sorted beside the gate's record of it."""

from contextlib import suppress
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
from mlflow import MlflowClient
from numpy.typing import NDArray

from imageproof.artifacts import Artifacts
from imageproof.base._dataset import FITTED_ON, Hits
from imageproof.base.files import parsing, scratch, sha256
from imageproof.registry._model_files import GoneError, written_by_gate
from imageproof.registry._version import Origin
from imageproof.registry._versions import Registry

HASH = np.dtype("S16")  # a fingerprint of `packed.load_hashes`

Hashes = NDArray[np.bytes_]  # (n,)


class DataRows(NamedTuple):
    """The rows of a version's data by their hashes, sorted.

    It was trained, stopped, calibrated or chosen on `seen`; it was only judged by `holdout`.
    """

    seen: Hashes
    holdout: Hashes

    def unseen(self, hashes: Hashes) -> Hits:
        return ~np.isin(hashes, self.seen)

    def past(self, hashes: Hashes) -> dict[str, Any]:
        """Which of these rows are unseen, and which were in the data, as fields of Contender."""
        older = np.isin(hashes, np.concatenate(self))
        return {"unseen": self.unseen(hashes), "older": older}


def split_hashes(artifacts: Artifacts, part: str) -> Hashes:
    """The hash of each row of a part, in the order of its rows."""
    return np.frombuffer(bytes.fromhex("".join(artifacts.read_split_hashes(part))), HASH)


def rows_of_split(artifacts: Artifacts) -> DataRows:
    """The rows that a model of this split has seen, and its hold-out rows."""
    seen_hashes = [split_hashes(artifacts, part) for part in (*FITTED_ON, "test")]
    holdout = split_hashes(artifacts, "holdout")
    return DataRows(np.unique(np.concatenate(seen_hashes)), np.unique(holdout))


def write_rows(
    registry: Registry,
    version: str,
    run_id: str,
    rows: DataRows,
) -> None:
    """Log both files to the run; tags of the version name them, and their SHA-256."""
    client = MlflowClient()
    with scratch() as folder:
        for part, hashes in rows._asdict().items():
            path = folder / f"{registry.name}-{version}-{part}-rows.npy"
            np.save(path, hashes, allow_pickle=False)
            client.log_artifact(run_id, str(path), "gate")
            uri = f"runs:/{run_id}/gate/{path.name}"
            registry.set_tags(version, {f"gate_{part}": uri, f"gate_{part}_sha256": sha256(path)})


def read_rows(origin: Origin) -> DataRows | None:
    """What `write_rows` wrote of a version, None if nothing; IntegrityError if it changed."""
    with suppress(GoneError, KeyError):  # a version registered by hand has no such tag
        return DataRows(*(_read(origin, part) for part in DataRows._fields))
    return None


def _read(origin: Origin, part: str) -> Hashes:
    uri = origin.gate[f"gate_{part}"]
    recorded = origin.gate[f"gate_{part}_sha256"]
    content = BytesIO(written_by_gate(uri, recorded))
    with parsing("hashes of rows", uri):
        return np.asarray(np.load(content, allow_pickle=False), HASH)
