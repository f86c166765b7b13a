"""The report as a person opens it: one file, no network, everything in it."""

import re

import numpy as np
import pandas as pd
import pytest
from chances import honest
from helpers import run_record
from matplotlib.figure import Figure

from imageproof.artifacts import WORKSPACE
from imageproof.base.files import read_json, write_json
from imageproof.evaluation.reporting import write_report
from imageproof.judge._caret import statistics
from imageproof.judge._comparison import Candidate, compare_pair
from imageproof.judge._confusion import confusion_matrix
from imageproof.judge._slices import COLUMNS
from imageproof.judge._verdicts import as_dict, verdict
from imageproof.judge.scores import score_probabilities
from imageproof.outputs import write_by_split
from imageproof.report.plots._theme import save

NAMES = ["<script>alert('x')</script>", "Ankle boot $ & more", "3", "4", "5"]
CHECK = {"part": "train", "severity": "warning", "expectation": "expect_column_values_to_be_null"}
VALIDATION = {
    "success": True,
    "critical": 0,
    "warnings": 1,
    "findings": [CHECK | {"message": "train: image seen before in 2 rows: row 5 (as row 1), …"}],
    "expectations": [CHECK | {"column": "duplicate_of", "success": False}],
}
RAW_DATA = ("class_distribution", "samples", "mean", "median", "standard_deviation")
FIGURES = {
    "test_accuracy": 0.5,
    "weakest_class": "triangle",
    "weakest_sensitivity": 0.5,
    "elapsed_s": 9.0,
    "shared_cores": 0.0,
    "size_bytes": 9,
    "run_id": "0123456789abcdef",
}


def write_outputs(model, answers):
    outputs = WORKSPACE.evaluated(model)
    record = run_record(model, tracking_uri="sqlite:////home/someone/mlflow.db")
    write_json(WORKSPACE.trained(model).run, record.model_dump())
    behaviour = {"images": 100, "effective_images": 100, "clean": 0.9, "rotate_15": 0.7}
    write_json(outputs.behaviour, behaviour)
    coverage = {split: {"coverage": 0.9512, "unsure": 0.25} for split in answers}
    write_json(outputs.confidence, {"asked": 0.95, **coverage})
    scores = {split: score_probabilities(*part) for split, part in answers.items()}
    write_json(outputs.metrics, scores)
    figures = {}
    for split, (chances, labels) in answers.items():
        matrix = confusion_matrix(chances.argmax(axis=1), labels, classes=len(NAMES))
        figures[split] = statistics(matrix, classes=NAMES)._asdict()
        draw(outputs.matrix_picture(split), outputs.alluvial(split))
    draw(outputs.reliability.with_suffix(".png"), outputs.mistakes)
    write_json(outputs.statistics, figures)
    write_by_split(outputs.slices, {"test": pd.DataFrame(columns=[*COLUMNS])})


def draw(*paths):
    """Save a picture of 300×200 pixels in each place."""
    for path in paths:
        save(Figure(figsize=(3, 2), dpi=100), path)


def report():
    write_report(["mlp", "cnn"], pictures={})
    return WORKSPACE.report.read_text("utf-8")


@pytest.fixture
def page(tmp_path, monkeypatch):
    """An honest and a perfect model of classes with difficult names, one absent from hold-out."""
    monkeypatch.chdir(tmp_path)
    draw(*(WORKSPACE.compare / name for name in ("pareto.png", "learning_curves.png")))
    draw(*(WORKSPACE.explore / f"{name}.png" for name in RAW_DATA))
    chances, labels = honest(900)
    holdout = np.flatnonzero(labels != 1)
    perfect = np.eye(5, dtype=np.float32)[labels]
    candidates = []
    for model, answers in (("mlp", chances), ("cnn", perfect)):
        parts = {"test": (answers, labels), "holdout": (answers[holdout], labels[holdout])}
        write_outputs(model, parts)
        candidates.append(Candidate(model, answers.argmax(axis=1), 9.0))
    pair = compare_pair(*candidates, labels)
    comparison = {
        "models": [FIGURES | {"model": model} for model in ("mlp", "cnn")],
        "pairs": [as_dict(pair)],
        "verdicts": [verdict(pair), "mlp is fragile: it falls"],
    }
    write_json(WORKSPACE.comparison, comparison)
    rows = {"test": len(labels), "holdout": len(holdout)}
    sources = {"train": {"file": "data/images.csv"}}
    write_json(WORKSPACE.split_summary, {"rows": rows, "sources": sources})
    write_json(WORKSPACE.validation, VALIDATION)
    return report()


def test_page_loads_nothing(page):
    sources = re.findall(r'<(?:img|script|link|iframe)[^>]*?(?:src|href)="([^"]*)"', page)
    assert sources
    assert all(source.startswith("data:") for source in sources)
    assert "default-src 'none'" in page
    assert "<script>alert" not in page
    assert 'href="../runs/' in page  # without a server
    assert "make ui" in page
    assert "/home/someone" not in page
    assert "Rows of train are those of <code>data/images.csv</code>, counted from 0." in page


def test_verdict_comes_first_and_pairs_have_figures(page):
    comparison = read_json(WORKSPACE.comparison, dict[str, list])
    [pair] = comparison["pairs"]
    assert f"{100 * pair['gain']:.2f} points" in page
    assert "<td>&lt;0.0001</td>" in page
    verdict_line, doubt = comparison["verdicts"]
    texts = verdict_line.replace("<", "&lt;"), "<table>", doubt
    places = [page.index(text) for text in texts]
    assert places == sorted(places)
    assert '<td class="words">elapsed s, as a multiple of the fastest model&#39;s</td>' in page
    write_json(WORKSPACE.comparison, comparison | {"pairs": [pair | {"p_value": None}]})
    assert "<td>too few groups</td>" in report()


def test_fragile_model_is_marked(page):
    assert "when 100 test images, drawn at random" in page
    row = re.search(r'<tr><th scope="row">rotated by ±15°</th>(.*?)</tr>', page)
    assert row[1].count('class="marked"') == 2
    assert "(-20.0)<br><small>" in row[1]


def test_undefined_figure_has_a_reason(page):
    absent = "Ankle boot $ &amp; more"
    assert f'title="class {absent} absent">n/a</td>' in page
    assert f"mlp: n/a: class {absent} absent" in page
    for row in (
        "P-Value [Acc &gt; NIR]</th><td>&lt;0.0001",
        "Coverage of answer sets, asked</th><td>0.9500",
        "Unsure</th><td>0.2500",
    ):
        assert row in page


def test_weakest_slices_are_shown(page):
    assert "Slices" not in page
    row = {"split": "holdout", "column": "<b>", "rows": 1200, "accuracy": 0.5, "upper": 0.6}
    lower = [np.nan, *np.arange(1, 30) / 100]
    table = pd.DataFrame([row | {"value": f"w{n}", "lower": end} for n, end in enumerate(lower)])
    table.to_csv(WORKSPACE.evaluated("cnn").slices, index=False)
    page = report()
    assert "<caption>Slices, cnn on hold-out: the weakest 20 of 30</caption>" in page
    cells = "<td>1,200</td><td>0.5000</td>"
    assert f"<bdi>&lt;b&gt;</bdi>: <bdi>w0</bdi></th>{cells}<td>one group only</td>" in page
    assert f"<bdi>w19</bdi></th>{cells}<td>0.1900 to 0.6000</td>" in page
    assert "w20" not in page


@pytest.mark.slow
def test_browser_draws_everything(page, browser, tmp_path):
    path = tmp_path / "index.html"
    path.write_text(page, encoding="utf-8")
    problems = []
    for width, height in ((1440, 900), (360, 800)):
        context = browser.new_context(viewport={"width": width, "height": height}, offline=True)
        tab = context.new_page()
        for event in ("request", "pageerror", "console", "dialog"):
            tab.on(event, lambda problem: problems.append(problem))
        tab.goto(path.as_uri())
        # the first screen holds the first verdict, the table and the figure; the rest is folded
        for selector in (".verdict", ".first table", ".first img"):
            box = tab.locator(selector).bounding_box()
            assert box["x"] + box["width"] <= width
            assert box["y"] + box["height"] <= height
        first = tab.locator(".first .scroll")
        assert first.evaluate("node => node.scrollWidth <= node.clientWidth")
        assert tab.evaluate("document.documentElement.scrollHeight") < 2 * height
        assert not tab.locator("details[open]").count()
        tab.eval_on_selector_all("details", "all => all.forEach(one => one.open = true)")
        box = "all => all.map(i => [i.naturalWidth, i.getBoundingClientRect().right])"
        widths, ends = zip(*tab.eval_on_selector_all("img", box), strict=True)
        # each model has a matrix and an alluvial per split, its reliability and mistakes
        assert widths == (300,) * (2 + 6 * 2 + 5)
        assert max(ends) <= width
        # wide tables scroll inside the page, by keys too, never the page itself
        assert not tab.locator(".scroll:not([tabindex][aria-label])").count()
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert [getattr(problem, "url", problem) for problem in problems] == [path.as_uri()] * 2
