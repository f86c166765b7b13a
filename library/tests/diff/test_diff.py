"""`imageproof diff`: two commits of a real git and DVC repository, compared without a checkout."""

import json
import shutil
import socket
from contextlib import chdir, contextmanager
from pathlib import Path

import numpy as np
import pytest
import yaml
from dvc.repo import Repo
from example import PARAMS, write_params
from helpers import BOMB, Page, finding, git, run_record

from imageproof.artifacts import WORKSPACE
from imageproof.base._dataset import EVALUATED, Dataset, Split, save_arrays, save_split
from imageproof.base.errors import DataError, IntegrityError, ServiceError, UsageError
from imageproof.base.files import md5, write_json
from imageproof.diff._collect import collect_diff
from imageproof.diff._difference import Change, Difference
from imageproof.diff._render import markdown, print_diff
from imageproof.judge._comparison import Candidate, compare_pair
from imageproof.judge.scores import score_probabilities

STAGES = """\
stages:
  split:
    cmd: "true"
    outs: [artifacts/split/test.npz]
  train:
    matrix:
      model: MODELS
    cmd: "true"
    params: ["train.${item.model}"]
    outs:
      - artifacts/train/${item.model}/model.onnx
      - artifacts/train/${item.model}/metrics.json
      - artifacts/train/${item.model}/run.json
  evaluate:
    matrix:
      model: MODELS
    cmd: "true"
    deps: [artifacts/split/test.npz]
    outs:
      - artifacts/evaluate/${item.model}/predictions.npz
      - artifacts/evaluate/${item.model}/metrics.json
      - artifacts/evaluate/${item.model}/statistics.json
      - artifacts/evaluate/${item.model}/behaviour.json
"""
NAMES = ["a", "b", "c", "d"]
HOSTILE = ["<script>", "`|@octocat|`", "[x](http://evil.example)\n\n![i](x)", "\x1b[31m#1 &amp;"]
WEAK = 60  # wrong answers of 400
STRONG = 30
BETTER = "better: accuracy 85.00 → 92.50 %, p < 0.001"


def write_split(*, rows=400):
    data = Dataset(np.zeros((rows, 2, 2), np.uint8), np.arange(rows) % len(NAMES))
    save_split(WORKSPACE.split("test"), Split(data, np.arange(rows)))


def record(model, wrong, *, rows=400, names=NAMES):
    """Write what training and evaluation write for a model with so many wrong answers."""
    numbers = np.arange(rows)
    labels = numbers % len(names)
    predicted = np.where(numbers < wrong, (labels + 1) % len(names), labels)
    chances = np.eye(len(names), dtype=np.float32)[predicted]
    trained = WORKSPACE.trained(model)
    evaluated = WORKSPACE.evaluated(model)
    cost = dict.fromkeys(("user_s", "system_s", "elapsed_s", "epoch_s"), float(wrong))
    write_json(trained.metrics, cost | {"parameters": 5000})
    write_json(trained.run, run_record(model).model_dump())
    trained.model.write_bytes(b"model" * wrong)
    write_json(evaluated.behaviour, {"clean": 0.9, "blur": 0.5})
    save_arrays(evaluated.predictions, dict.fromkeys(EVALUATED, chances))
    hits = predicted == labels
    by_class = {name: {"sensitivity": hits[k :: len(names)].mean()} for k, name in enumerate(names)}
    write_json(evaluated.statistics, {"test": {"by_class": by_class}})
    write_json(evaluated.metrics, dict.fromkeys(EVALUATED, score_probabilities(chances, labels)))


def commit(*models, epochs=2):
    """Record all outputs in dvc.lock, and commit it."""
    write_params({"models": [*models], "train.mlp.fit.epochs": epochs})
    Path("dvc.yaml").write_text(STAGES.replace("MODELS", f"[{', '.join(models)}]"))
    commit_outputs()


def commit_outputs():
    with Repo() as repo:
        repo.commit(force=True)
    git("add", ".")
    git("commit", "-qm", "outputs")


@pytest.fixture(scope="module")
def two_commits(tmp_path_factory):
    """A repository whose second commit has a better mlp, and the same cnn."""
    folder = tmp_path_factory.mktemp("two_commits")
    with chdir(folder):
        git("init", "-q")
        Repo.init().close()
        write_split()
        record("mlp", WEAK)
        record("cnn", STRONG)
        commit("mlp", "cnn")
        record("mlp", STRONG)
        commit("mlp", "cnn", epochs=3)
    return folder


@pytest.fixture(autouse=True)
def repository(two_commits, tmp_path, monkeypatch):
    """The current folder is a copy of it."""
    copy = tmp_path / "project"
    shutil.copytree(two_commits, copy)
    monkeypatch.chdir(copy)
    return copy


@contextmanager
def foreign_branch(start="HEAD"):
    """A branch that commits what the block changes; the block ends on the branch before."""
    git("checkout", "-qb", "foreign", start)
    yield
    git("add", ".")
    git("commit", "-qm", "foreign")
    git("checkout", "-q", "-")


def verdicts(diff):
    return {name: model.verdict for name, model in diff.models.items()} | diff.states


def test_workspace_against_commit(capsys):
    diff = collect_diff("HEAD~1", None)
    assert verdicts(diff) == {"mlp": BETTER, "cnn": "unchanged"}
    assert diff.params == {"train.mlp.fit.epochs": (2, 3)}
    assert diff.notes == []
    print_diff(diff, as_json=False, as_markdown=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == f"mlp: {BETTER}"
    assert any(line.startswith("new gains 7.50 points over old (") for line in lines)
    print_diff(diff, as_json=True, as_markdown=False)
    assert json.loads(capsys.readouterr().out)["models"]["mlp"]["state"] == "better"
    assert {"holdout.loss", "elapsed_s", "size_mb"} <= {*diff.models["mlp"].metrics}
    assert diff.models["mlp"].sensitivity["a"] == (0.85, 0.92)


def test_params_of_one_model_and_switches_are_seen():
    settings = {"train.mlp.fit.epochs": 3}
    write_params(settings | {"promote.max_slice_loss": 0})
    git("commit", "-qam", "a limit of 0")
    lock = yaml.safe_load(Path("dvc.lock").read_text())
    for model, seed in (("mlp", 11), ("cnn", PARAMS["seed"])):  # only the mlp ran since
        read = lock["stages"][f"train@{model}"].setdefault("params", {})
        read.setdefault("params.yaml", {})["seed"] = seed
    Path("dvc.lock").write_text(yaml.safe_dump(lock))
    write_params(settings | {"promote.max_slice_loss": False, "seed": 11})
    changes = {"seed": (PARAMS["seed"], 11), "promote.max_slice_loss": (0, False)}
    assert collect_diff("HEAD", None).params == changes


def test_model_on_one_side_only():
    record("compact", WEAK)
    commit("mlp", "compact")
    assert verdicts(collect_diff("HEAD~1", "HEAD")) == {
        "mlp": "unchanged",
        "compact": "new: accuracy 85.00 %",
        "cnn": "gone: accuracy 92.50 %",
    }


def test_other_test_rows():
    write_split(rows=200)
    with Repo() as repo:
        repo.commit("split", force=True)  # the models are not evaluated on them yet
    assert verdicts(collect_diff("HEAD~1", None))["mlp"].startswith("not comparable: ")
    record("mlp", 10, rows=200)
    commit("mlp")
    diff = collect_diff("HEAD~1", None)
    assert verdicts(diff)["mlp"] == "not comparable: accuracy 92.50 → 95.00 %"
    assert diff.notes == ["mlp: evaluated on other test rows, so without paired test"]


def test_chance_and_rows_of_one_group_prove_nothing():
    rows = np.arange(1000)
    models = {wrong: (rows < wrong).astype(int) for wrong in (29, 30, 60)}
    for old, new, groups, verdict in (
        (60, 30, 0 * rows, "no verdict: accuracy 94.00 → 97.00 %, too few groups"),
        (30, 30, None, "same answers: accuracy 97.00 %"),
        (30, 29, None, "no difference beyond noise: accuracy 97.00 → 97.10 %, p = 1"),
    ):
        candidates = Candidate("old", models[old], 2.0), Candidate("new", models[new], 2.0)
        pair = compare_pair(*candidates, 0 * rows, groups)
        accuracy = Change(1 - old / 1000, 1 - new / 1000)
        assert Difference({"test.accuracy": accuracy}, {}, pair).verdict == verdict


def test_unknown_revision():
    for revision in ("--output=x", "", "HEAD~9", "HEAD:params.yaml"):
        finding(UsageError, collect_diff, "HEAD", revision)
    assert not Path("x").exists()


OWN_REMOTE = "['remote \"own\"']\n    url = {url}\n[core]\n    remote = own\n"
IMPORT = "outs:\n- path: metrics.json\ndeps:\n- path: {url}\n"


def test_revision_does_not_choose_remote():
    """Neither for all outputs, nor for one of them, nor by an import."""
    metrics = WORKSPACE.trained("mlp").metrics
    stages = Path("dvc.yaml").read_text()
    stages = stages.replace("- artifacts/train/${item.model}/metrics.json", "")
    stages = stages.replace("run.json", "run.json: {remote: own}")
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x"
        with foreign_branch("HEAD~1"):
            Path(".dvc/config").write_text(OWN_REMOTE.format(url=url))
            Path("dvc.yaml").write_text(stages)
            metrics.with_name("metrics.json.dvc").write_text(IMPORT.format(url=url))
        shutil.rmtree(".dvc/cache")
        line = finding(ServiceError, collect_diff, "foreign", None)
        server.setblocking(False)
        with pytest.raises(BlockingIOError):  # nobody asked it
            server.accept()
    assert line.startswith(f"foreign: {metrics} is neither in DVC's cache nor in its remote")


@pytest.mark.parametrize(
    ("file", "text", "kind", "line"),
    [
        ("params.yaml", BOMB, UsageError, "params.yaml: not YAML: an alias (*name) is"),
        ("dvc.lock", BOMB, IntegrityError, "dvc.lock: damaged"),
        ("dvc.lock", "#" * 2_000_000, DataError, "dvc.lock has 2,000,000 bytes; at most"),
    ],
)
def test_branch_with_bomb_is_refused(file, text, kind, line):
    with foreign_branch():
        Path(file).write_text(text)
    assert finding(kind, collect_diff, "foreign", None).startswith(f"foreign: {line}")


def test_dvc_reads_nothing_of_a_branch():
    metrics = WORKSPACE.trained("mlp").metrics
    with foreign_branch("HEAD~1"):
        for file in ("dvc.yaml", "data.dvc", "vars.yaml", ".dvc/config", f"{metrics}.dvc"):
            Path(file).write_text(f"vars: [vars.yaml]\n{BOMB}")
    assert verdicts(collect_diff("foreign", None))["mlp"] == BETTER


def test_link_of_a_branch_leads_nowhere(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("seed: 1")
    with foreign_branch():
        Path("params.yaml").unlink()
        Path("params.yaml").symlink_to(secret)
    line = finding(UsageError, collect_diff, "foreign", "HEAD~1")
    assert line == "foreign: params.yaml: is a str, not a mapping of blocks"


def test_md5_of_a_branch_leads_nowhere():
    lock = Path("dvc.lock").read_text()
    digest = md5(WORKSPACE.trained("mlp").metrics)
    with foreign_branch():
        Path("dvc.lock").write_text(lock.replace(digest, "../../../../../secret"))
    assert "(dvc.lock has no md5 of it)" in finding(ServiceError, collect_diff, "foreign", "HEAD~1")


def test_files_not_as_recorded():
    WORKSPACE.evaluated("mlp").metrics.write_text("{}")
    line = finding(IntegrityError, collect_diff, "HEAD~1", None)
    assert line.startswith("workspace: artifacts/evaluate/mlp/metrics.json: md5 ")


OWN_TAGS = {"p", "code", "ul", "li", "strong", "details", "summary", "table", "tr", "th", "td"}


def test_hostile_text(capsys):
    """The models' class names, a param's key and value, and the branch are written by an enemy."""
    record("mlp", WEAK, names=HOSTILE)
    with Path("params.yaml").open("a") as file:
        file.write(json.dumps(HOSTILE[2]) + ": " + json.dumps(HOSTILE) + "\n")
    commit_outputs()
    git("branch", "@octocat/<script>`|#1")
    diff = collect_diff("HEAD~1", "@octocat/<script>`|#1")
    page = Page(markdown(diff))
    assert {*page.tags} == OWN_TAGS
    assert not any(mark in page.outside for mark in ("@", "http", "#", "<script", "evil"))
    assert HOSTILE[1] in page.code
    assert page.code[1].startswith("@octocat/<script>`|#1 (")
    for as_json, as_markdown in ((False, False), (True, False), (False, True)):
        print_diff(diff, as_json=as_json, as_markdown=as_markdown)
    assert "\x1b" not in capsys.readouterr().out


def test_markdown_fits_a_comment():
    names = [f"{number:04d}" + "<" * 500 for number in range(60)]
    with Path("params.yaml").open("a") as file:
        file.writelines(f'k{number}{"<" * 400}: "{"&" * 900}"\n' for number in range(60))
    record("mlp", WEAK, rows=600, names=names)
    write_split(rows=600)
    commit_outputs()
    text = markdown(collect_diff("HEAD~1", "HEAD"))
    assert "The tables are too long for a comment" in text
    assert len(text) < 60_000
