"""`imageproof package`: from a version in the registry to a folder that serves it."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from arena import EVEN, accept, fighter
from example import NAME, context
from helpers import finding
from packaged import running

from imageproof.artifacts import WORKSPACE
from imageproof.base.errors import IntegrityError, ServiceError, UsageError
from imageproof.base.files import folder_sha256
from imageproof.cli import _answers as cli
from imageproof.registry import _promotion
from imageproof.registry._version import load_version
from imageproof.serve._package import _build_wheel, write_package

OUT = Path("out/package")
CHALLENGER = f"models:/{NAME}/1"


@pytest.fixture
def champion(ring):
    """Of fewer classes than the hold-out has, as the version before it."""
    for pixels in ((), (EVEN,)):
        _promotion.promote(fighter(*pixels, classes=9), NAME, judge=accept)
    return f"models:/{NAME}/2"


def test_package_command(champion, capsys):
    Path("templates").mkdir()
    Path("templates/home.html").write_text("<h1>mine: $title</h1>", "utf-8")
    cli.package(context(), shadow=CHALLENGER, out=OUT)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{champion} → {OUT}: 1,797 hold-out rows get the model's")
    assert lines[1] == f"SHA-256 of the folder: {folder_sha256(OUT)}"
    assert [*OUT.parent.iterdir()] == [OUT]

    with load_version(champion, threads=1) as model, running(OUT) as server:
        description = server.get("/model").json()
        assert description["model_sha256"] == model.origin.model_sha256
        # of 100 true classes with probabilities from 0.5 to 1, one may be missed
        assert description["confidence"] == {"coverage": 0.99, "threshold": pytest.approx(0.5)}
        assert server.get("/").text == f"<h1>mine: {NAME} 2</h1>"
    assert champion in (OUT / "MODEL_CARD.md").read_text("utf-8")
    assert json.loads((OUT / "shadow.json").read_text("utf-8"))["version"] == "1"
    assert "shadow.onnx" in (OUT / "SHA256SUMS").read_text("utf-8")


def test_other_answers_or_rows_are_not_packaged(champion, monkeypatch):
    with load_version(champion, threads=1) as model:
        right = model.predict
        monkeypatch.setitem(model.__dict__, "predict", lambda x: right(x) + np.float32(1e-4))
        package = partial(write_package, model, OUT, coverage=0.99)
        line = finding(IntegrityError, package)
        assert "differ from the model's by up to 1.0e-04; nothing was written" in line
        assert [*OUT.parent.iterdir()] == []
        path = WORKSPACE.split("holdout")
        with path.open("ab") as file:
            file.write(b"0")
        assert finding(IntegrityError, package).startswith(f"{path}: md5 ")


def test_model_of_other_images_is_not_packaged(ring):
    _promotion.promote(fighter(), NAME, judge=accept)
    _promotion.promote(fighter(shape=(9, 9)), NAME, judge=accept)
    with (
        load_version(CHALLENGER, threads=1) as model,
        load_version(f"models:/{NAME}/2", threads=1) as larger,
    ):
        line = finding(UsageError, write_package, larger, OUT, coverage=0.99)
        assert line == f"models:/{NAME}/2: takes images (9, 9), the hold-out rows here are (8, 8)"
        line = finding(UsageError, write_package, model, OUT, coverage=0.99, challenger=larger)
        assert line.startswith(f"--shadow models:/{NAME}/2: has the shape (9, 9), ")


def test_folder_that_exists_is_refused_before_anything_is_read(tmp_path):
    package = tmp_path / "package"
    command = partial(cli.package, context(), out=package, kubernetes=True)
    for option, path in (("--kubernetes", tmp_path / "package-kubernetes"), ("--out", package)):
        path.mkdir()
        line = f"{option} {path}: exists; delete it, or choose another name"
        assert finding(UsageError, command) == line


def test_wheel_that_cannot_be_written(tmp_path):
    file = tmp_path / "file"
    file.touch()
    message = finding(ServiceError, _build_wheel, file)
    assert message.endswith(f"built: FileExistsError: [Errno 17] File exists: '{file}'")
