"""The commands that merge two branches whose data and results differ."""

from pathlib import Path

import pytest
from blocks import blocks
from clones import Clone
from support import REPOSITORY
from test_documented_commands import RUN_BY

HERE = f"{RUN_BY}{Path(__file__).relative_to(REPOSITORY).as_posix()}"
COMMANDS = [b.text for b in blocks(REPOSITORY / "docs/how-to/team.md") if b.comment == HERE]
PIPELINE = """stages:
  list:
    cmd: ls data > artifacts/names
    deps: [data]
    outs: [artifacts/names: {cache: false}]
"""
START = """git init -qb main && dvc init -q && dvc config core.autostage true
dvc remote add -q -d store ../store && mkdir data artifacts && touch data/1 data/2
dvc add -q data && dvc repro -q && git add . && git commit -qm first
dvc push -q && git clone -q . ../ann && git switch -qc bob"""
CHANGE = "dvc add -q data && dvc repro -q && git commit -qam changed && dvc push -q"


@pytest.mark.slow
def test_merged_branches_have_the_data_of_both(tmp_path):
    bob = Clone(tmp_path / "bob")
    bob.root.mkdir()
    (bob.root / "dvc.yaml").write_text(PIPELINE)
    bob.run("bash", "-euc", START)
    bob.run("bash", "-euc", f"echo 3 > data/3 && rm data/1 && {CHANGE}")
    ann = Clone(tmp_path / "ann")
    ann.run("bash", "-euc", f"dvc pull -q && echo 4 > data/4 && {CHANGE}")
    ann.run("bash", "-euc", "rm -r .dvc/cache && dvc pull -q")  # as in a new clone
    for command in COMMANDS:
        ann.run("bash", "-euc", command)
    assert (ann.root / "artifacts/names").read_text() == "2\n3\n4\n"
    assert "up to date" in ann.run("dvc", "status").stdout
