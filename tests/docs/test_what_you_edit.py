"""Pages of files name what exists, and the picture of the pipeline shows the stages of dvc.yaml."""

import re
from html import unescape

import networkx as nx
from small_project import run
from support import REPOSITORY

PATH = re.compile(r"\.?[\w-]+(/[\w./-]*|\.(dvc|lock|toml|yaml))")


def test_each_wish_names_what_exists():
    page = (REPOSITORY / "docs/how-to/what-you-edit.md").read_text("utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 20
    for row in rows:
        code = re.findall(r"`(\S+)`", row.split(" | ")[1])
        files = [name for name in code if PATH.fullmatch(name)]
        # the folder is yours to make: its files are copies of those named beside them
        paths = [REPOSITORY / name for name in files if not name.startswith("templates/")]
        assert [path for path in paths if not path.exists()] == [], row
        texts = [path.read_text("utf-8") for path in paths if path.is_file()]
        names = {name.split(".")[-1] for name in code if not PATH.fullmatch(name)}
        assert {name for name in names if name not in "".join(texts)} <= {"MLFLOW_TRACKING_URI"}


def test_pushed_data_of_your_own_stay_out_of_git():
    pushed = "dvc-store/files/md5/00/of-your-own"
    assert run("git", "check-ignore", pushed, cwd=REPOSITORY).strip() == pushed


def test_path_for_a_reader_is_short():
    page = (REPOSITORY / "docs/reading.md").read_text("utf-8")
    names = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    assert len(names) == len({*names}) == 12
    assert sum(not name.startswith("library/") for name in names) >= 7
    lines = sum((REPOSITORY / name).read_text("utf-8").count("\n") for name in names)
    assert lines <= 1500


def arrows(text, pattern):
    """Pairs of stages, by their names without a model: which models there are is free."""
    return {*re.findall(pattern, re.sub(r"@\w+", "", text))}


def test_pipeline_picture_has_arrows_of_dvc():
    drawn = run("dvc", "dag", "--dot", cwd=REPOSITORY)
    graph = nx.DiGraph(arrows(drawn, r'"(.+)" -> "(.+)";'))
    svg = unescape((REPOSITORY / "docs/pictures/pipeline.svg").read_text("utf-8"))
    picture = arrows(svg, r"<title>(.+?)->(.+?)</title>")
    assert picture == set(nx.transitive_reduction(graph).edges)
