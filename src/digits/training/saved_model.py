"""A trained model on disk: equal models are equal bytes, and reading one runs no foreign code."""

import json
import re
import zipfile
from pathlib import Path

import keras

from digits.core.errors import DataError
from digits.core.files import replacing


def save(model: keras.Model, path: Path) -> None:
    """Write the model as `.keras`, without any date or address in memory.

    Keras writes both into the archive, and DVC would take two equal models for different ones.
    """
    with replacing(path) as temporary:
        model.save(temporary)
        members = _members(temporary)
        metadata = json.loads(members["metadata.json"])
        metadata.pop("date_saved", None)
        members["metadata.json"] = json.dumps(metadata).encode()
        members["config.json"] = _without_addresses(members["config.json"])
        with zipfile.ZipFile(temporary, "w") as archive:
            for name in sorted(members):
                archive.writestr(zipfile.ZipInfo(name), members[name])


def load(path: Path) -> keras.Model:
    """Read a `.keras` file in Keras's safe mode.

    Raises:
        DataError: the file is missing or no Keras model.
    """
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # a damaged archive fails in whatever part of Keras it reaches
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path}: no Keras model ({first_line})") from None


def _without_addresses(config: bytes) -> bytes:
    """Name objects that layers share by their order, where Keras takes their addresses."""
    shared = rb'"shared_object_id": (\d+)'
    found = list(dict.fromkeys(re.findall(shared, config)))
    return re.sub(shared, lambda match: b'"shared_object_id": %d' % found.index(match[1]), config)


def _members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
