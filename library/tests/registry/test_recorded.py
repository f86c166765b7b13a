"""What is recorded of a run, its data and its code, against what is here."""

from pathlib import Path

import arena
from helpers import finding, git

from imageproof.artifacts import WORKSPACE, split_tags
from imageproof.base.errors import IntegrityError
from imageproof.base.files import write_json
from imageproof.outputs import SPLIT_TAGS
from imageproof.registry._evidence import commit_origin, data_origin
from imageproof.registry._versions import TrainedRun

HERE = Path()
DATA = "d" * 32  # the md5 in data.dvc


def run(**tags):
    return TrainedRun("r", "m", {**split_tags({}), "data_md5": DATA} | tags)


def test_run_of_another_split_is_refused(ring):
    for split in ("train", "holdout"):
        trained = run(**{SPLIT_TAGS[split]: "f"})
        line = finding(IntegrityError, arena.gate(), trained, None, "", None)
        assert f"run r: {WORKSPACE.split(split)} had md5 f, dvc.lock has " in line


def test_data_is_what_passed_validation(ring):
    assert data_origin(run(), HERE) == (True, f"data {DATA[:12]} passed")
    elsewhere = "e" * 32
    text = f"trained on data {elsewhere}, data.dvc has {DATA}"
    assert data_origin(run(data_md5=elsewhere), HERE) == (False, text)
    write_json(WORKSPACE.validation, {"success": False, "critical": 2})
    assert data_origin(run(), HERE)[1].startswith("2 critical findings")
    lock = Path("dvc.lock").read_text()
    Path("dvc.lock").write_text(lock.replace(DATA, elsewhere))
    assert data_origin(run(), HERE)[1].startswith(f"dvc.lock has no validation of data {DATA}")


def test_code_is_in_a_commit_that_is_here(ring):
    commit = git("rev-parse", "HEAD")
    clean = {"git_commit": commit, "git_dirty": "false"}
    assert commit_origin(clean) == (True, commit[:12])
    assert commit_origin({}) == (False, "no commit recorded")
    assert not commit_origin({"git_commit": commit})[0]
    dirty = clean | {"git_dirty": "true", "git_changed": "src/a.py, b.py"}
    text = f"{commit[:12]} with uncommitted changes (src/a.py, b.py); commit them, then train again"
    assert commit_origin(dirty) == (False, text)
    git("commit", "--quiet", "--amend", "--message", "other words")
    kept = f"`git branch NAME {commit[:12]}` keeps it"
    assert commit_origin(clean) == (True, f"{commit[:12]}, but no branch has it: {kept}")
    unknown = clean | {"git_commit": "0" * 40}
    assert commit_origin(unknown) == (False, "000000000000 is unknown here")
    Path(".git/shallow").write_text(f"{commit}\n")
    cure = "this clone is shallow: `git fetch --unshallow` brings all commits"
    assert commit_origin(unknown)[1].endswith(cure)
