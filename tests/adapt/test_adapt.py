"""`digits adapt`: the block that it prints, the lines that it sets, and the stages that name it."""

import shutil
from pathlib import Path

import networks
from helpers import finding, put_pictures
from PIL import Image
from support import REPOSITORY, context

from digits import params
from digits.stages import pack
from imageproof.adapt._command import find_models
from imageproof.adapt._rules import Models
from imageproof.base.errors import DataError, UsageError
from imageproof.base.files import sha256
from imageproof.cli import program


def test_adapt_prints_one_block_and_sets_its_lines(workspace, capsys):
    """For 61 pictures of three classes, in several sizes."""
    shutil.copy(REPOSITORY / "params.yaml", "params.yaml")
    for number in range(61):
        path = Path("data", ("boot", "cap", "coat")[number % 3], f"{number}.jpg")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (80 + number, 150 - number)).save(path)
    Path("data/scarf").mkdir()
    Path("data/scarf/1.heic").touch()
    assert finding(DataError, pack.main).endswith(" is 10; `digits adapt` says what fits")
    old_text = Path("params.yaml").read_text()
    program.adapt(context())
    assert Path("params.yaml").read_text() == old_text
    facts, left_out, backbone, *block, last = capsys.readouterr().out.splitlines()
    assert facts.startswith("data: 61 images, 3 classes with 20 or more each, colour, ")
    assert left_out == "warning: data: left out, as no picture of a class: 1 (scarf/1.heic)"
    assert backbone.startswith("warning: features: backbones/efficientnet-lite0.onnx: not found; ")
    assert block[0].split() == ["data.classes:", "10", "→", "3", "the", "data", "has", "3"]
    assert last == "`digits adapt --write` sets these lines"

    program.adapt(context(), write=True)
    new_lines = Path("params.yaml").read_text().splitlines()
    assert "  min_accuracy: null # accuracy on the hold-out" in new_lines
    pairs = zip(old_text.splitlines(), new_lines, strict=True)
    lines = [(old, new) for old, new in pairs if old != new]
    assert all(old.partition(" #")[2] == new.partition(" #")[2] for old, new in lines)
    assert len(lines) == len(block)
    assert f"\nparams.yaml: lines set: {len(lines)}; " in capsys.readouterr().out
    assert (params.load().data.classes, params.load().models) == (3, ["compact"])
    program.adapt(context())
    assert capsys.readouterr().out.endswith("\nparams.yaml fits: nothing to change\n")
    Path("params.yaml").write_text("\n".join(new_lines).replace("[compact]", "compact"))
    line = "params.yaml models: 'compact': input should be a valid list"
    assert finding(UsageError, program.adapt, context()) == line


def test_pictures_without_a_group_are_refused(workspace):
    text = (REPOSITORY / "params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("group: null", "group: ' writer'"))
    put_pictures(Path("data"), "1.png", "2.png", "3.png")
    Path("data/labels.csv").write_text("file,label,writer\n1.png,a,Ann\n2.png,b,\n3.png,a,\n")
    line = "data/labels.csv: column writer: pictures without a value: 2 (2.png, 3.png); "
    assert finding(DataError, program.adapt, context(), write=True).startswith(line)


def test_backbone_that_is_here_is_proposed(workspace):
    path = networks.write_standin()
    block = {"backbone": path.stem, "backbone_sha256": sha256(path)}
    params = {"train": {"compact": {}, "features": block, "threads": 2}}
    models = find_models(params, ["mlp"], ["compact", "features", "none"])
    assert models == Models(["mlp"], ["compact", "features"], {"features": networks.SIDE})
    path.unlink()
    params["models"] = ["features"]
    assert "not found; " in finding(DataError, find_models, params, [], params["models"])
