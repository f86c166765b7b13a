"""Which code, data and starter a run comes from."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import yaml
from dvc.lock import Lock
from dvc.repo import Repo
from helpers import commit, finding, git

from imageproof.base.errors import IntegrityError, ServiceError
from imageproof.base.files import md5
from imageproof.dvc import provenance, run_tags
from imageproof.system._repository import origin

METRICS = "artifacts/compare/metrics.json"  # in git, so that a reviewer sees them


@pytest.fixture
def repository(workspace):
    Path("data.dvc").write_text("outs:\n- md5: 1d2c.dir\n  path: data\n")
    for file in ("dvc.lock", "params.yaml", "code.py", METRICS):
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).write_text("{}")
    commit(".")
    return workspace


tags = partial(run_tags.tags, stage="train@mlp", split=Path("train.npz"))


def write_lock(**stages):
    Path("dvc.lock").write_text(yaml.safe_dump({"stages": stages}))


def test_tags_name_code_starter_and_what_an_experiment_changed(repository, monkeypatch):
    params = Path("params.yaml")
    params.write_text("seed: 1\ntrain: {mlp: {fit: {epochs: 8}}}\n")
    git("commit", "-qam", "x")
    params.write_text("seed: 2\n")
    monkeypatch.setenv("DVC_EXP_NAME", "another")
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "0123")
    expected = {
        "git_commit": git("rev-parse", "HEAD"),
        "dvc_stage": "train@mlp",
        "dvc_exp": "another",
        "changed": "seed 1 → 2, train.mlp.fit.epochs 8 → none",
        "prefect_flow_run_id": "0123",
    }
    assert expected.items() <= tags().items()


@pytest.mark.parametrize("file", ["code.py", "data.dvc", "library/new.so", "größe x.py"])
def test_git_dirty(repository, file):
    for recorded in ("scored.parquet", "params.yaml", "dvc.lock", METRICS):
        Path(recorded).write_text("{} # changed")
    assert tags()["git_dirty"] == "false"
    Path(file).parent.mkdir(exist_ok=True)
    Path(file).write_text("{} # changed")
    assert (tags()["git_dirty"], tags()["git_changed"]) == ("true", file)


def test_without_git_and_data_dvc_nothing_is_claimed(workspace, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(workspace.parent))
    assert tags()["git_commit"] == ""
    assert "git_dirty" not in tags()
    assert tags()["data_md5"] == "untracked"
    Path("data.dvc").write_text("outs: [: :\n")
    assert tags()["data_md5"] == "untracked"


def test_folder_of_another_owner_is_not_without_commit(repository, monkeypatch):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "true")
    assert "git config --global --add safe.directory" in finding(ServiceError, tags)


@pytest.mark.parametrize(("split", "named"), [("as recorded", "old.dir"), ("another", "1d2c.dir")])
def test_data_md5_is_that_of_the_split(repository, split, named):
    path = Path("train.npz")
    path.write_text("as recorded")
    outs = [{"path": str(path), "md5": md5(path)}]
    outs.append({"path": "holdout.npz", "md5": "of rows that a training does not pull"})
    write_lock(split={"deps": [{"path": "data", "md5": "old.dir"}], "outs": outs})
    path.write_text(split)
    assert tags()["data_md5"] == named


POINTER = """\
outs: [{{md5: {0}, desc: {1}}}]
meta: {{license: CC0, source: [an, attic], rows: 3, describes: {0}}}
"""


def test_described_data_is_from_data_dvc_here_else_at_the_commit(repository):
    for digest in ("1d2c.dir", "2e3d.dir"):
        Path("data.dvc").write_text(POINTER.format(digest, f"of {digest}"))
        texts = provenance.described_data("1d2c.dir", "HEAD")
        assert texts == {"license": "CC0", "describes": "1d2c.dir", "desc": "of 1d2c.dir"}
        git("commit", "-qam", "x")


def test_md5_of_a_folder_at_a_commit_is_dvcs(workspace):
    for file in ("b.py", "a/c.py", "a.py"):
        Path("code", file).parent.mkdir(parents=True, exist_ok=True)
        Path("code", file).write_text(file)
    Path("shared.py").write_text("shared")
    Path("code/a/shared.py").symlink_to("../../shared.py")
    Path("code/folder").symlink_to("a")
    commit("code", "shared.py")
    with Repo.init(no_scm=True) as repo:
        repo.add("code")
    digest = provenance.data_md5(Path("code.dvc"))
    Path("code/b.py").write_text("not committed")
    assert provenance.committed_md5s("HEAD", [Path("code")])[Path("code")] == digest


def test_origin(repository):
    for remote, address in (
        ("https://me:secret@host/me/imageproof.git?x=secret", "https://host/me/imageproof.git"),
        ("ssh://me:secret@host/imageproof", "ssh://me@host/imageproof"),
    ):
        git("config", "remote.origin.url", remote)
        assert origin() == address


def test_a_changed_output_is_named(workspace):
    output = Path("run.json")
    output.write_text("{}")
    write_lock(train={"outs": [{"path": str(output), "md5": md5(output)}]}, x={})
    provenance.check_outputs([output, output.with_name("missing"), Path("dvc.lock")])
    assert provenance.recorded_size(output, workspace) == 0  # the entry has none
    output.write_text("[]")
    line = finding(IntegrityError, provenance.check_outputs, [output])
    assert line.startswith(f"{output}: md5 d75171398898, dvc.lock records 99914b932bd3; ")
    for damaged in ("", "[" * 3000, "!!bool x"):
        Path("dvc.lock").write_text(damaged)
        line = finding(IntegrityError, provenance.check_outputs, [output])
        assert line.startswith("dvc.lock: damaged")


def test_waits_for_a_dvc_lock_that_is_being_written(workspace):
    """DVC writes it in pieces, while another stage reads it; on a busy machine with long gaps."""
    whole = yaml.safe_dump({"stages": {f"s{n}": {"outs": []} for n in range(100)}})
    provenance.DVC_LOCK.parent.mkdir(parents=True)

    def write():
        with Lock(provenance.DVC_LOCK), Path("dvc.lock").open("w") as file:  # as DVC does
            for part in (whole[:500], whole[500:]):
                file.write(part)
                file.flush()
                time.sleep(0.5)

    with ThreadPoolExecutor(1) as thread:
        thread.submit(write)
        time.sleep(0.1)
        assert provenance.read_lock(Path("dvc.lock")) == whole


def test_reads_a_dvc_lock_while_dvc_does_something_else(workspace):
    write_lock(train={})
    os.utime("dvc.lock", (1, 1))
    provenance.DVC_LOCK.parent.mkdir(parents=True)
    with Lock(provenance.DVC_LOCK):  # such as `dvc push`, for hours
        assert provenance.recorded_outputs() == {}
