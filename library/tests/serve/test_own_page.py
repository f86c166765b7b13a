"""A project's own page of the service comes along in its packages."""

from pathlib import Path

import packaged
import pytest
import requests

from imageproof.base.dataset import Dataset


def test_own_page_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, images_8x8: Dataset
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("templates").mkdir()
    Path("templates/home.html").write_text("<h1>mine: $title</h1>", "utf-8")
    package = packaged.write(tmp_path / "package", images_8x8)
    with packaged.running(package.folder) as server:
        assert requests.get(server.address, timeout=20).text == "<h1>mine: imageproof 7</h1>"
