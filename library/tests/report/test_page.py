"""The report as a person opens it: one file, no network, everything in it."""

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import run_record
from matplotlib.figure import Figure

from imageproof.base.dataset import Dataset
from imageproof.data import exploration
from imageproof.judge.caret import statistics
from imageproof.judge.comparison import Candidate, compare_pair
from imageproof.judge.confidence import answer_sets, measure, threshold
from imageproof.judge.confusion import confusion_matrix, most_confused
from imageproof.judge.figures import column
from imageproof.judge.scores import score_probabilities
from imageproof.judge.slices import COLUMNS
from imageproof.judge.verdicts import as_dict, verdict
from imageproof.keras.temperature import truth_probabilities
from imageproof.report.page import ModelResult, ReportContent, SplitResult, render
from imageproof.report.plots.theme import save

NO_SLICES = pd.DataFrame(columns=["split", *COLUMNS])
GLYPHS = [str(number) for number in range(10)]
CHECK = {"part": "train", "severity": "warning", "expectation": "expect_column_values_to_be_null"}
VALIDATION = {
    "success": True,
    "critical": 0,
    "warnings": 1,
    "summary": {
        "train": {"rows": 1797, "shapes": ["8x8"], "class_counts": {"0": 178}, "mean_ink": 73.3}
    },
    "findings": [CHECK | {"message": "train: image seen before in 2 rows: row 5 (as row 1), …"}],
    "expectations": [CHECK | {"column": "duplicate_of", "success": False}],
}


def probabilities(data, centres, temperature):
    """How near each image is to each class's mean image, as float32 (n, classes)."""
    difference = data.images[:, None].astype(np.float64) - centres[None]
    logits = -np.sqrt((difference**2).mean(axis=(2, 3))) / temperature
    chances = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (chances / chances.sum(axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def png(tmp_path_factory):
    """A picture of 300×200 pixels."""
    path = tmp_path_factory.mktemp("pictures") / "any.png"
    save(Figure(figsize=(3, 2), dpi=100), path)
    return path.read_bytes()


def model_result(name, splits, predicted, *, names, png):
    results, confidence = [], {"asked": 0.95, "threshold": 0.1}
    for (split, data), chances in zip(splits.items(), predicted, strict=True):
        matrix = confusion_matrix(chances.argmax(axis=1), data.labels, classes=len(names))
        found, scores = statistics(matrix, classes=names), score_probabilities(chances, data.labels)
        limit = threshold(truth_probabilities(chances, data.labels), 0.95)
        confidence[split] = measure(answer_sets(chances, limit), data.labels)._asdict()
        confused = most_confused(matrix, names=names)
        results.append(SplitResult(split, len(data), found, scores, png, png, confused))
    accuracy = results[0].scores["accuracy"]
    return ModelResult(
        name=name,
        run=run_record("mlp", tracking_uri="sqlite:////home/someone/mlflow.db"),
        splits=results,
        behaviour={"images": 100, "clean": accuracy}
        | dict.fromkeys(("shift_0.07", "rotate_15"), accuracy - 0.2),
        confidence=confidence,
        slices=NO_SLICES,
        reliability=png,
        mistakes=png,
        pictures={},
    )


def content_of(models, seconds, reference, predicted, *, png):
    """`predicted` are each model's classes on the first split."""
    candidates = [
        Candidate(model.name, chosen, train_s)
        for model, chosen, train_s in zip(models, predicted, seconds, strict=True)
    ]
    pairs = [compare_pair(a, b, reference) for a, b in combinations(candidates, 2)]
    return ReportContent(
        verdicts=[*map(verdict, pairs), "mlp is fragile: it falls"],
        table={
            each.name: dict.fromkeys(column("in_short", by="table"), "triangle: 0.5000")
            for each in candidates
        },
        pairs=list(map(as_dict, pairs)),
        models=models,
        validation=VALIDATION,
        pareto=png,
        learning_curves=png,
        raw_data={"Mean of each class": png},
        sources={"train": {"file": "data/images.csv", "rows": 1797}},
    )


@pytest.fixture(scope="module")
def content(png, images_8x8):
    """Two models on scikit-learn's images."""
    data = Dataset(images_8x8.images * np.uint8(15), images_8x8.labels)
    splits = {"test": data.take(np.arange(900)), "holdout": data.take(np.arange(900, 1797))}
    averages = exploration.pixel_statistics(splits["holdout"], classes=10)
    models, chosen = [], []
    for name, centres in (("mlp", averages["median"]), ("cnn", averages["mean"])):
        predicted = [probabilities(part, centres, temperature=4) for part in splits.values()]
        models.append(model_result(name, splits, predicted, names=GLYPHS, png=png))
        chosen.append(predicted[0].argmax(axis=1))
    return content_of(models, (12.0, 150.0), splits["test"].labels, chosen, png=png)


@pytest.fixture(scope="module")
def extreme(png):
    """Two classes with difficult names, one not in hold-out; two identical, perfect models."""
    rng, names = np.random.default_rng(0), ["<script>alert('x')</script>", "Ankle boot $ & more"]
    images = rng.integers(256, size=(40, 6, 9), dtype=np.uint8)
    test = Dataset(images, np.arange(40) % 2)
    splits = {"test": test, "holdout": Dataset(images[:8], np.zeros(8, dtype=np.int64))}
    predicted = [np.eye(2, dtype=np.float32)[part.labels] for part in splits.values()]
    models = [
        model_result(name, splits, predicted, names=names, png=png) for name in ("one", "two")
    ]
    return content_of(models, (1.0, 1.0), test.labels, [test.labels] * 2, png=png)


@pytest.fixture(scope="module")
def page(content):
    return render(content)


def test_page_loads_nothing(page):
    sources = re.findall(r'<(?:img|script|link|iframe)[^>]*?(?:src|href)="([^"]*)"', page)
    assert sources
    assert all(source.startswith("data:") for source in sources)
    assert "default-src 'none'" in page
    assert "Rows of train are those of <code>data/images.csv</code>, counted from 0." in page


def test_verdict_comes_first_and_pairs_have_figures(content, page):
    assert f"{100 * content.pairs[0]['gain']:.2f} points" in page
    first_line = content.verdicts[0].splitlines()[0].replace("<", "&lt;")
    assert (
        0 < page.index(first_line) < page.index("<table>") < page.index("mlp is fragile: it falls")
    )


def test_many_classes_have_a_row_each_and_their_most_confused_pairs(png):
    names = [f"class <{number}>" for number in range(21)]
    data = Dataset(np.zeros((420, 6, 6), np.uint8), np.arange(420) % 21)
    answers = data.labels.copy()
    answers[[3, 24]] = 7
    chances = np.eye(21, dtype=np.float32)[answers]
    model = model_result("one", {"test": data}, [chances], names=names, png=png)
    page = render(content_of([model], [1.0], data.labels, [answers], png=png))
    pair = '<th scope="row">class &lt;3&gt; → class &lt;7&gt;</th><td>2</td><td>0.1000</td>'
    assert pair in page
    assert '<tr><th scope="row">class &lt;3&gt;</th><td>0.9000</td>' in page
    assert '<tr><th scope="row">Top-5 accuracy</th>' in page


def test_fragile_model_is_marked(page):
    row = re.search(r'<tr><th scope="row">rotated by ±15°</th>(.*?)</tr>', page)
    assert row is not None
    assert row[1].count('class="marked"') == 2
    assert "(−20.0)<br><small>" in row[1]


def test_undefined_figure_has_reason_and_no_name_is_obeyed(extreme):
    page, absent = render(extreme), "Ankle boot $ &amp; more"
    assert "<script>alert" not in page
    assert f'title="class {absent} absent">n/a</td>' in page
    assert f"one: n/a: class {absent} absent" in page


def test_refused_data(content):
    critical = VALIDATION["findings"][0] | {"severity": "critical", "message": "label <10>"}
    refused = VALIDATION | {"success": False, "critical": 1, "findings": [critical]}
    page = render(content._replace(validation=refused))
    assert "refused</span>, 1 critical finding, 1 warning" in page
    assert 'class="critical">critical:</span> label &lt;10&gt;' in page


def test_decimals_are_uniform(page):
    shares = re.findall(r">([0-9]\.[0-9]+)</td>", page.partition('id="statistics"')[2])
    assert len(shares) > 200
    assert {len(share) for share in shares} == {len("0.1234")}


def test_table_explains_its_headings(page):
    assert '<td class="words">elapsed s, as a multiple of the fastest model&#39;s</td>' in page


def test_links_without_server(page):
    assert 'href="../runs/' in page
    assert "make ui" in page
    assert "/home/someone" not in page


def test_slices_are_a_table_of_the_weakest(content, page):
    assert "Slices" not in page
    row = {"split": "holdout", "column": "<b>", "rows": 1200, "accuracy": 0.5, "upper": 0.6}
    table = pd.DataFrame([row | {"value": f"w{n}", "lower": n / 100} for n in range(30)])
    model = content.models[1]._replace(slices=table)
    shown = render(content._replace(models=[content.models[0], model]))
    assert shown.count("<caption>Slices") == 1
    assert "<caption>Slices, cnn on holdout: the weakest 20 of 30</caption>" in shown
    cells = "<td>1,200</td><td>0.5000</td><td>0.1900 to 0.6000</td>"
    assert f'<tr><th scope="row">&lt;b&gt;: w19</th>{cells}</tr>' in shown
    assert "w20" not in shown


def open_offline(browser, path: Path, width: int):
    """Open a file with no network; returns the page and what went wrong."""
    problems: list[str] = []

    def refuse(route):
        problems.append(f"asked for {route.request.url}")
        route.abort()

    context = browser.new_context(viewport={"width": width, "height": 800})
    context.set_offline(True)
    context.route(re.compile("^(https?|wss?):"), refuse)
    tab = context.new_page()
    tab.on("pageerror", lambda error: problems.append(f"script failed: {error}"))
    tab.on(
        "console",
        lambda message: (
            problems.append(f"console: {message.text}")
            if message.type in ("error", "warning")
            else None
        ),
    )
    tab.on("dialog", lambda dialog: (problems.append("a dialog opened"), dialog.dismiss()))
    tab.goto(path.as_uri())
    tab.wait_for_load_state("load")
    return tab, problems


@pytest.mark.slow
@pytest.mark.parametrize("width", [1366, 390])
@pytest.mark.parametrize("case", ["content", "extreme"])
def test_browser_draws_every_figure(case, width, browser, tmp_path, request):
    content = request.getfixturevalue(case)
    path = tmp_path / "index.html"
    path.write_text(render(content), encoding="utf-8")

    tab, problems = open_offline(browser, path, width)
    widths = tab.eval_on_selector_all("img", "images => images.map(image => image.naturalWidth)")
    # each model has a matrix and an alluvial per split, its reliability and mistakes
    assert widths == [300] * (2 + 6 * len(content.models) + 1)
    tab.eval_on_selector_all("details", "all => all.forEach(one => one.open = true)")
    ends = tab.eval_on_selector_all("img", "all => all.map(i => i.getBoundingClientRect().right)")
    assert max(ends) <= width
    # wide tables scroll inside the page, never the page itself
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert problems == []


@pytest.mark.slow
@pytest.mark.parametrize(("width", "height"), [(1440, 900), (390, 844)])
def test_first_screen(content, width, height, browser, tmp_path):
    """It holds the first verdict, the table and the figure; the rest is folded below."""
    path = tmp_path / "index.html"
    path.write_text(render(content), encoding="utf-8")
    tab, _ = open_offline(browser, path, width)
    for shown in (".verdict", ".first table", ".first img"):
        box = tab.locator(shown).bounding_box()
        assert box["x"] + box["width"] <= width
        assert box["y"] + box["height"] <= height
    assert tab.evaluate("document.documentElement.scrollHeight") < 2 * height
    assert not tab.locator("details[open]").count()
