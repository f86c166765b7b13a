"""Splits fetched by hash from a DVC remote or cache."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from digits.core.dataset import Dataset, Split, save_split
from digits.core.errors import IntegrityError, ServiceError
from digits.sweep.trial import FOLDER, fetch


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, str]:
    """A remote with one split, and its md5."""
    monkeypatch.setenv("DIGITS_HOME", str(tmp_path / "own"))
    images = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)
    rows = np.array([0, 1])
    save_split(tmp_path / "split.npz", Split(Dataset(images, np.array([0, 1])), rows))
    content = (tmp_path / "split.npz").read_bytes()
    md5 = hashlib.md5(content).hexdigest()
    path = tmp_path / "remote" / "files/md5" / md5[:2] / md5[2:]
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return tmp_path / "remote", md5


def settings(address: Path) -> dict[str, str]:
    return {"url": str(address)}


def test_a_split_is_fetched_once_and_kept(remote: tuple[Path, str]) -> None:
    address, md5 = remote
    assert fetch(md5, settings(address)).labels.tolist() == [0, 1]
    assert fetch(md5, {"url": "/nowhere"}).labels.tolist() == [0, 1]


def test_a_kept_split_that_was_damaged_is_fetched_again(
    remote: tuple[Path, str], tmp_path: Path
) -> None:
    address, md5 = remote
    fetch(md5, settings(address))
    (tmp_path / "own" / FOLDER / f"{md5}.npz").write_bytes(b"damaged")
    assert len(fetch(md5, settings(address))) == 2


def test_a_remote_with_other_content_is_refused(remote: tuple[Path, str], tmp_path: Path) -> None:
    address, md5 = remote
    (address / "files/md5" / md5[:2] / md5[2:]).write_bytes(b"other")
    with pytest.raises(IntegrityError, match=md5):
        fetch(md5, settings(address))
    assert list((tmp_path / "own" / FOLDER).iterdir()) == []


def test_a_remote_that_does_not_have_it_is_named(remote: tuple[Path, str]) -> None:
    with pytest.raises(ServiceError, match=r"remote /nowhere: .*ab/cd"):
        fetch("abcd", {"url": "/nowhere"})
