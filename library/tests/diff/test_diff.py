"""`imageproof diff`: two commits of a real git and DVC repository, compared without a checkout."""

import json
import shutil
import socket
import subprocess
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
import yaml
from dvc.repo import Repo
from example import EXAMPLE, PARAMS, write_params
from helpers import BOMB, Page, finding, git, python

from imageproof.artifacts import WORKSPACE
from imageproof.base.dataset import EVALUATED, Dataset, Split, save_arrays, save_split
from imageproof.base.errors import (
    DataError,
    ImageproofError,
    IntegrityError,
    ServiceError,
    UsageError,
)
from imageproof.base.files import md5, write_json
from imageproof.diff.collect import Diff, collect_diff
from imageproof.diff.render import markdown, print_diff
from imageproof.evaluation.asking import Answers, Evaluated
from imageproof.evaluation.measuring import write_statistics
from imageproof.judge.scores import score_probabilities

# DVC 3.67 on pygtrie 2.5
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value will soon:DeprecationWarning")

STAGES = """\
stages:
  split:
    cmd: "true"
    outs: [artifacts/split/test.npz, artifacts/split/holdout.npz]
  train:
    matrix:
      model: MODELS
    cmd: "true"
    deps: ["src/${item.model}.py"]
    params: ["train.${item.model}"]
    outs:
      - artifacts/train/${item.model}/model.onnx
      - artifacts/train/${item.model}/history.csv
      - artifacts/train/${item.model}/metrics.json
  evaluate:
    matrix:
      model: MODELS
    cmd: "true"
    deps: [artifacts/split/test.npz, artifacts/split/holdout.npz]
    outs:
      - artifacts/evaluate/${item.model}/predictions.npz
      - artifacts/evaluate/${item.model}/test_confusion_matrix.csv
      - artifacts/evaluate/${item.model}/metrics.json
      - artifacts/evaluate/${item.model}/statistics.json
      - artifacts/evaluate/${item.model}/behaviour.json
  compare:
    cmd: "true"
    metrics:
      - artifacts/compare/metrics.json: {cache: false}
"""
NAMES = ["a", "b", "c", "d"]
HOSTILE = ["<script>", "`|@octocat|`", "[x](http://evil.example)\n\n![i](x)", "\x1b[31m#1 &amp;"]
WEAK, STRONG = 60, 30  # wrong answers of 400


def write_splits(*, rows: int = 400) -> None:
    WORKSPACE.split("test").parent.mkdir(parents=True, exist_ok=True)
    for grey, name in enumerate(EVALUATED):
        labels = np.arange(rows) % len(NAMES)
        data = Dataset(np.full((rows, 2, 2), grey, np.uint8), labels)
        save_split(WORKSPACE.split(name), Split(data, np.arange(rows)))


# the recorded answers are certain, right or wrong
GATE = {"promote.min_accuracy": 0.8, "promote.max_calibration_error": None}


def record(model: str, wrong: int, *, rows: int = 400, names: list[str] = NAMES) -> None:
    """Write what training and evaluation write for a model with so many wrong answers."""
    labels = np.arange(rows) % len(names)
    predicted = np.where(np.arange(rows) < wrong, (labels + 1) % len(names), labels)
    chances = np.eye(len(names), dtype=np.float32)[predicted]
    truth = Dataset(np.zeros((rows, 2, 2), np.uint8), labels)
    trained, evaluated = WORKSPACE.trained(model), WORKSPACE.evaluated(model)
    for outputs in (trained, evaluated):
        outputs.folder.mkdir(parents=True, exist_ok=True)
    trained.model.write_bytes(b"model" * wrong)
    code = Path(f"src/{model}.py")
    code.parent.mkdir(exist_ok=True)
    code.touch()
    curves = dict.fromkeys(("loss", "accuracy", "val_loss", "val_accuracy"), 0.5)
    trained.write_history([curves, curves])
    cost = dict.fromkeys(("user_s", "system_s", "elapsed_s", "epoch_s"), float(wrong))
    write_json(trained.metrics, cost | {"parameters": 5000})
    write_json(evaluated.behaviour, {"clean": 0.9, "blur": 0.5})
    save_arrays(evaluated.predictions, dict.fromkeys(EVALUATED, chances))
    splits = dict.fromkeys(EVALUATED, Answers(truth, np.arange(rows), chances))
    write_statistics(Evaluated(model, names, evaluated, lambda images: chances, splits))
    write_json(evaluated.metrics, dict.fromkeys(EVALUATED, score_probabilities(chances, labels)))
    summary = WORKSPACE.compare / "metrics.json"
    figures = json.loads(summary.read_text("utf-8")) if summary.exists() else {}
    figures[model] = {"test_accuracy": 1 - wrong / rows, "elapsed_s": float(wrong)}
    write_json(summary, figures)


def commit(*models: str, epochs: int = 2) -> None:
    """Record all outputs in dvc.lock, and commit it."""
    write_params({"models": [*models], "train.mlp.fit.epochs": epochs, **GATE})
    Path("dvc.yaml").write_text(STAGES.replace("MODELS", f"[{', '.join(models)}]"), "utf-8")
    with Repo() as repo:
        repo.commit(force=True)
    git("add", ".")
    git("commit", "-qm", f"{models}")


@pytest.fixture(scope="module")
def two_commits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose second commit has a better mlp, and the same cnn."""
    folder = tmp_path_factory.mktemp("two_commits")
    with chdir(folder):
        git("init", "-q")
        Repo.init().close()
        write_splits()
        record("mlp", WEAK)
        record("cnn", STRONG)
        commit("mlp", "cnn")
        record("mlp", STRONG)
        commit("mlp", "cnn", epochs=3)
    return folder


@pytest.fixture
def repository(two_commits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder is a copy of it."""
    copy = tmp_path / "project"
    shutil.copytree(two_commits, copy)
    monkeypatch.chdir(copy)
    return copy


def add_remote(url: Path) -> None:
    """A remote that has all that the cache has."""
    shutil.copytree(".dvc/cache", url)
    with Repo() as repo, repo.config.edit() as config:
        config["remote"] = {"store": {"url": str(url)}}
        config["core"]["remote"] = "store"


def verdicts(diff: Diff) -> dict[str, str]:
    return {name: model.verdict if model else "unchanged" for name, model in diff.models.items()}


BETTER = "better: accuracy 85.00 → 92.50 %, p < 0.001; the gate would accept"


def test_workspace_against_commit(repository: Path) -> None:
    diff = collect_diff("HEAD~1", None)
    assert verdicts(diff) == {"mlp": BETTER, "cnn": "unchanged"}
    assert {key: (*pair,) for key, pair in diff.params.items()} == {"train.mlp.fit.epochs": (2, 3)}
    assert diff.notes == []
    changed = {name for name, pair in diff.models["mlp"].metrics.items() if pair.diff}
    assert {"test.accuracy", "holdout.loss", "elapsed_s", "size_mb"} <= changed
    assert diff.models["mlp"].sensitivity["a"] == (0.85, 0.92)
    assert verdicts(collect_diff("HEAD", None)) == {"mlp": "unchanged", "cnn": "unchanged"}


def test_params_of_one_model_and_switches_are_seen(repository: Path) -> None:
    settings = {"models": ["mlp", "cnn"], "train.mlp.fit.epochs": 3, **GATE}
    write_params(settings | {"promote.max_slice_loss": 0})
    git("commit", "-qam", "a limit of 0")
    lock = yaml.safe_load(Path("dvc.lock").read_text("utf-8"))
    for model, seed in (("mlp", 11), ("cnn", PARAMS["seed"])):  # only the mlp ran since
        read = lock["stages"][f"train@{model}"].setdefault("params", {})
        read.setdefault("params.yaml", {})["seed"] = seed
    Path("dvc.lock").write_text(yaml.safe_dump(lock), "utf-8")
    write_params(settings | {"promote.max_slice_loss": False, "seed": 11})
    changed = {key: (*pair,) for key, pair in collect_diff("HEAD", None).params.items()}
    assert changed == {"seed": (PARAMS["seed"], 11), "promote.max_slice_loss": (0, False)}


def test_model_on_one_side_only(repository: Path) -> None:
    record("compact", WEAK)
    commit("mlp", "compact")
    assert verdicts(collect_diff("HEAD~1", "HEAD")) == {
        "mlp": "unchanged",
        "compact": "new: accuracy 85.00 %; the gate would accept",
        "cnn": "gone: accuracy 92.50 %",
    }


def test_other_test_rows(repository: Path) -> None:
    write_splits(rows=200)
    record("mlp", 10, rows=200)
    commit("mlp")
    diff = collect_diff("HEAD~1", None)
    assert verdicts(diff)["mlp"] == "not comparable: accuracy 92.50 → 95.00 %"
    assert diff.notes[:2] == [
        "mlp: evaluated on other test rows, so without paired test",
        "mlp: evaluated on other holdout rows, so without the gate",
    ]


@pytest.mark.parametrize("revision", ["nosuch", "--output=x", "", "HEAD~9", "HEAD:params.yaml"])
def test_unknown_revision(repository: Path, revision: str) -> None:
    line = finding(UsageError, lambda: collect_diff(revision, None))
    assert line.startswith("'" if revision[:1] in ("", "-") else f"{revision}: ")
    finding(UsageError, lambda: collect_diff("HEAD", revision))
    assert not Path("x").exists()


def test_lost_cache_comes_from_remote(repository: Path, tmp_path: Path) -> None:
    add_remote(tmp_path / "remote")
    shutil.rmtree(".dvc/cache")
    shutil.rmtree("artifacts")
    git("checkout", "-q", "artifacts")
    diff = collect_diff("HEAD~1", None)
    assert verdicts(diff)["mlp"] == BETTER


def test_remote_in_repository_as_it_was(repository: Path) -> None:
    """Where it is published, the folder keeps only what the last commit points to."""
    add_remote(repository / "store")
    git("add", "store")
    git("commit", "-qm", "with a store")
    digest = md5(WORKSPACE.evaluated("mlp").predictions)
    Path(f"store/files/md5/{digest[:2]}/{digest[2:]}").unlink()
    record("mlp", WEAK)
    commit("mlp", "cnn")
    shutil.rmtree(".dvc/cache")
    assert verdicts(collect_diff("HEAD~1", None))["mlp"].startswith("worse: ")


OWN_REMOTE = "['remote \"own\"']\n    url = {url}\n[core]\n    remote = own\n"
IMPORT = "outs:\n- path: metrics.json\ndeps:\n- path: {url}\n"


@pytest.mark.parametrize("way", ["default", "of an output", "import"])
def test_revision_does_not_choose_remote(repository: Path, way: str) -> None:
    metrics = WORKSPACE.trained("mlp").metrics
    stages = Path("dvc.yaml").read_text("utf-8")
    entry = "- artifacts/train/${item.model}/metrics.json"
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x"
        git("checkout", "-qb", "foreign", "HEAD~1")
        Path(".dvc/config").write_text(OWN_REMOTE.format(url=url), "utf-8")
        if way == "of an output":
            Path("dvc.yaml").write_text(stages.replace(entry, entry + ": {remote: own}"), "utf-8")
        elif way == "import":
            Path("dvc.yaml").write_text(stages.replace(entry, ""), "utf-8")
            pointer = metrics.with_name("metrics.json.dvc")
            pointer.write_text(IMPORT.format(url=url), "utf-8")
        git("add", ".")
        git("commit", "-qm", "foreign")
        git("checkout", "-q", "-")
        shutil.rmtree(".dvc/cache")
        line = finding(ServiceError, lambda: collect_diff("foreign", None))
        server.setblocking(False)
        with pytest.raises(BlockingIOError):  # nobody asked it
            server.accept()
    assert line.startswith(f"foreign: {metrics} is neither in DVC's cache nor in its remote")


@pytest.mark.parametrize(
    ("file", "text", "kind", "line"),
    [
        ("params.yaml", BOMB, UsageError, "foreign: params.yaml: not YAML: an alias (*name) is"),
        ("params.yaml", "#" * 2_000_000, DataError, "foreign: params.yaml has 2,000,000 bytes; at"),
        ("dvc.lock", BOMB, IntegrityError, "foreign: dvc.lock: damaged"),
        ("dvc.lock", "#" * 2_000_000, DataError, "foreign: dvc.lock has 2,000,000 bytes; at most"),
    ],
)
def test_branch_with_bomb_is_refused(
    repository: Path, file: str, text: str, kind: type[ImageproofError], line: str
) -> None:
    git("checkout", "-qb", "foreign")
    Path(file).write_text(text, "utf-8")
    git("commit", "-qam", "bomb")
    git("checkout", "-q", "-")
    assert finding(kind, lambda: collect_diff("foreign", None)).startswith(line)


def test_dvc_reads_nothing_of_a_branch(repository: Path) -> None:
    git("checkout", "-qb", "foreign", "HEAD~1")
    for file in ("dvc.yaml", "data.dvc", "vars.yaml", ".dvc/config"):
        Path(file).write_text(f"vars: [vars.yaml]\n{BOMB}", "utf-8")
        git("add", "-f", file)
    git("commit", "-qam", "bomb")
    git("checkout", "-q", "-")
    assert verdicts(collect_diff("foreign", None))["mlp"] == BETTER


def test_links_and_md5_of_a_branch_lead_nowhere(repository: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("seed: 1", "utf-8")
    git("checkout", "-qb", "foreign")
    Path("params.yaml").unlink()
    Path("params.yaml").symlink_to(secret)
    lock = Path("dvc.lock").read_text("utf-8")
    digest = md5(WORKSPACE.trained("mlp").metrics)
    git("commit", "-qam", "a link")
    line = finding(UsageError, lambda: collect_diff("foreign", "HEAD~1"))
    assert line == "foreign: params.yaml: is a str, not a mapping of blocks"
    git("reset", "-q", "--hard", "HEAD~1")
    Path("dvc.lock").write_text(lock.replace(digest, "../../../../../secret"), "utf-8")
    git("commit", "-qam", "an md5")
    line = finding(ServiceError, lambda: collect_diff("foreign", "HEAD~1"))
    assert "(dvc.lock has no md5 of it)" in line


def test_files_not_as_recorded(repository: Path) -> None:
    WORKSPACE.evaluated("mlp").metrics.write_text("{}", "utf-8")
    line = finding(IntegrityError, lambda: collect_diff("HEAD~1", None))
    assert line.startswith("workspace: artifacts/evaluate/mlp/metrics.json: md5 ")
    commit("mlp", "cnn")
    line = finding(DataError, lambda: collect_diff("HEAD", "HEAD~1"))
    assert line.startswith("HEAD: artifacts/evaluate/mlp/metrics.json: holds no test, holdout")


def test_time_beside_other_processes_or_of_zero(repository: Path) -> None:
    metrics = WORKSPACE.trained("mlp").metrics
    cost = json.loads(metrics.read_text("utf-8"))
    write_json(metrics, cost | {"shared_cores": 1.25})
    commit("mlp", "cnn", epochs=3)
    assert collect_diff("HEAD~1", "HEAD").notes == [
        "mlp: the new training time cannot be compared: other processes used 1.2 of its cores "
        "meanwhile"
    ]
    write_json(metrics, cost | {"elapsed_s": 0})
    commit("mlp", "cnn", epochs=3)
    line = finding(DataError, lambda: collect_diff("HEAD~1", "HEAD"))
    assert line == "HEAD: mlp: its test accuracy or training time is no number above 0"


def test_predictions_of_other_classes_than_the_statistics(repository: Path) -> None:
    statistics = WORKSPACE.evaluated("mlp").statistics
    figures = json.loads(statistics.read_text("utf-8"))
    figures["test"]["by_class"].popitem()
    write_json(statistics, figures)
    commit("mlp", "cnn")
    line = finding(DataError, lambda: collect_diff("HEAD~1", "HEAD"))
    assert line == "HEAD: mlp: its predictions are not of the classes of its statistics"


OWN_TAGS = {"p", "code", "ul", "li", "strong", "details", "summary", "table", "tr", "th", "td"}


def hostile_diff() -> Diff:
    """The models' class names, a param's key and value, and the branch are written by an enemy."""
    record("mlp", WEAK, names=HOSTILE)
    with Path("params.yaml").open("a", encoding="utf-8") as file:
        file.write(json.dumps(HOSTILE[2]) + ": " + json.dumps(HOSTILE) + "\n")
    with Repo() as repo:
        repo.commit(force=True)
    git("add", ".")
    git("commit", "-qm", "hostile")
    git("branch", "@octocat/<script>`|#1")
    return collect_diff("HEAD~1", "@octocat/<script>`|#1")


def test_hostile_text(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    diff = hostile_diff()
    page = Page(markdown(diff))
    assert {*page.tags} == OWN_TAGS
    assert not any(mark in page.outside for mark in ("@", "http", "#", "<script", "evil"))
    assert HOSTILE[1] in page.code
    assert page.code[1].startswith("@octocat/<script>`|#1 (")
    print_diff(diff, as_json=False, as_markdown=False)
    print_diff(diff, as_json=True, as_markdown=False)
    print_diff(diff, as_json=False, as_markdown=True)
    assert "\x1b" not in capsys.readouterr().out


def test_markdown_fits_a_comment(repository: Path) -> None:
    names = [f"{k:04d}" + "<" * 500 for k in range(60)]
    with Path("params.yaml").open("a", encoding="utf-8") as file:
        file.writelines(f'k{k}{"<" * 400}: "{"&" * 900}"\n' for k in range(60))
    record("mlp", WEAK, rows=600, names=names)
    write_splits(rows=600)
    with Repo() as repo:
        repo.commit(force=True)
    git("commit", "-qam", "long")
    text = markdown(collect_diff("HEAD~1", "HEAD"))
    assert "… and 30 more" in text
    assert len(text) < 60_000


@pytest.mark.slow
def test_diff_command(repository: Path) -> None:
    def imageproof(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return python(EXAMPLE, "diff", *arguments)

    table, printed = imageproof("HEAD~1"), imageproof("HEAD~1", "HEAD", "--json")
    assert (table.returncode, table.stderr, printed.returncode) == (0, "", 0)
    assert table.stdout.splitlines()[1] == f"mlp: {BETTER}"
    assert json.loads(printed.stdout)["models"]["mlp"]["gate"]["accepted"] is True
    assert imageproof("nosuch").returncode == 2
    shutil.rmtree(".dvc/cache")
    lost = imageproof("HEAD~1", "--markdown")
    assert (lost.returncode, lost.stdout) == (4, "")
    assert lost.stderr.startswith("error: HEAD~1: artifacts/train/mlp/metrics.json is ")
