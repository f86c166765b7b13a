"""The report as a person opens it: one file, no network, everything in it."""

import json
import re
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from digits.core.artifacts import RunRecord
from digits.core.dataset import Dataset
from digits.data import exploration
from digits.evaluation.caret import statistics
from digits.evaluation.comparison import Candidate, as_dict, compare_pair, verdict
from digits.evaluation.mistakes import most_confident
from digits.evaluation.robustness import PERTURBATIONS
from digits.evaluation.scores import confusion_matrix, score_probabilities
from digits.reporting import plots
from digits.reporting.page.render import ModelResult, ReportContent, SplitResult, render
from digits.stages.report import read_pair

SQLITE = "sqlite:////home/someone/mlflow.db"
DIGITS = [str(number) for number in range(10)]
HISTORY = [
    {"loss": 0.5, "accuracy": 0.8, "val_loss": 0.4, "val_accuracy": 0.85},
    {"loss": 0.3, "accuracy": 0.9, "val_loss": 0.35, "val_accuracy": 0.88},
]
VALIDATION = {
    "success": True,
    "critical": 0,
    "warnings": 1,
    "summary": {
        "train": {"rows": 1797, "shapes": ["8x8"], "class_counts": {"0": 178}, "mean_ink": 73.3}
    },
    "findings": [
        {
            "part": "train",
            "severity": "warning",
            "expectation": "expect_column_values_to_be_null",
            "message": "train: image seen before in 2 rows: row 5 (as row 1), row 9 (as row 2)",
        }
    ],
    "expectations": [
        {
            "part": "train",
            "severity": "warning",
            "expectation": "expect_column_values_to_be_null",
            "column": "duplicate_of",
            "success": False,
        }
    ],
}


def real_digits():
    bunch = load_digits()
    return Dataset((bunch.images * 15).astype(np.uint8), bunch.target.astype(np.int64))


def probabilities(data, centres, temperature):
    """How near each image is to each class's mean image, as float32 (n, classes)."""
    difference = data.images[:, None].astype(np.float64) - centres[None]
    logits = -np.sqrt((difference**2).mean(axis=(2, 3))) / temperature
    chances = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (chances / chances.sum(axis=1, keepdims=True)).astype(np.float32)


def model_result(name, splits, predicted, *, names, seconds, uri=SQLITE):
    results = []
    for (split, data), chances in zip(splits.items(), predicted, strict=True):
        matrix = confusion_matrix(chances.argmax(axis=1), data.labels, classes=len(names))
        found = statistics(matrix, classes=names)
        results.append(SplitResult(split, found, score_probabilities(chances, data.labels), matrix))
    first = next(iter(splits.values()))
    accuracy = results[0].scores["accuracy"]
    return ModelResult(
        name=name,
        run=recorded_run("1", uri),
        history=HISTORY,
        splits=results,
        train_s=seconds,
        mistakes=most_confident(first, predicted[0], limit=12),
        behaviour={"clean": accuracy} | dict.fromkeys(PERTURBATIONS, accuracy - 0.2),
    )


def recorded_run(experiment_id, tracking_uri):
    return RunRecord(
        run_id="0123456789abcdef",
        model_id="m-1",
        experiment_id=experiment_id,
        tracking_uri=tracking_uri,
        name="mlp",
        params={},
        tags={},
        datasets={},
    )


def content_of(models, reference, predicted, *, names, pictures):
    """`predicted` are each model's classes on the first split."""
    candidates = [
        Candidate(model.name, chosen, model.train_s)
        for model, chosen in zip(models, predicted, strict=True)
    ]
    pairs = [compare_pair(a, b, reference) for a, b in combinations(candidates, 2)]
    return ReportContent(
        class_names=names,
        verdicts=[*map(verdict, pairs), "mlp is fragile: it falls"],
        table=[{"model": model.name, "elapsed s": f"{model.train_s:.1f}"} for model in models],
        pairs=pairs,
        models=models,
        validation=VALIDATION,
        pictures=pictures,
    )


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """Two models on scikit-learn's digits."""
    data, path = real_digits(), tmp_path_factory.mktemp("pictures") / "mean.png"
    splits = {"test": data.take(np.arange(900)), "holdout": data.take(np.arange(900, 1797))}
    averages = exploration.pixel_statistics(splits["holdout"], classes=10)
    plots.save(plots.class_images(averages.mean, names=DIGITS, title="mean"), path)
    models, chosen = [], []
    for name, centres, seconds in (("mlp", averages.median, 12.0), ("cnn", averages.mean, 150.0)):
        predicted = [probabilities(part, centres, temperature=4) for part in splits.values()]
        models.append(model_result(name, splits, predicted, names=DIGITS, seconds=seconds))
        chosen.append(predicted[0].argmax(axis=1))
    pictures = {"Mean of each class": path.read_bytes()}
    return content_of(models, splits["test"].labels, chosen, names=DIGITS, pictures=pictures)


@pytest.fixture(scope="module")
def extreme():
    """Two classes with difficult names, one not in hold-out; two identical, perfect models."""
    rng, names = np.random.default_rng(0), ["<script>alert('x')</script>", "Ankle boot $ & more"]
    images = rng.integers(256, size=(40, 6, 9), dtype=np.uint8)
    test = Dataset(images, np.arange(40) % 2)
    splits = {"test": test, "holdout": Dataset(images[:8], np.zeros(8, dtype=np.int64))}
    predicted = [np.eye(2, dtype=np.float32)[part.labels] for part in splits.values()]
    models = [
        model_result(name, splits, predicted, names=names, seconds=1.0) for name in ("one", "two")
    ]
    return content_of(models, test.labels, [test.labels] * 2, names=names, pictures={})


@pytest.fixture(scope="module")
def page(content):
    return render(content)


def test_the_same_content_gives_the_same_page(content, page):
    assert render(content) == page


def test_the_stage_reads_a_pair_as_compare_wrote_it(content):
    pair = content.pairs[0]
    read = read_pair(json.loads(json.dumps(as_dict(pair))))
    assert as_dict(read) == as_dict(pair)
    assert read.better_right.dtype == np.int64


def test_the_page_is_well_below_8_mb(page):
    assert len(page.encode("utf-8")) < 6_000_000


def test_the_page_loads_nothing_from_outside(page):
    sources = re.findall(r'<(?:img|script|link|iframe)[^>]*?(?:src|href)="([^"]*)"', page)
    assert sources
    assert all(source.startswith("data:") for source in sources)
    assert "default-src 'none'" in page


def test_the_verdict_stands_before_everything_else(content, page):
    first_line = content.verdicts[0].splitlines()[0].replace("<", "&lt;")
    assert (
        0 < page.index(first_line) < page.index("mlp is fragile: it falls") < page.index("<table>")
    )


def test_the_pair_has_its_figures_and_its_rows(content, page):
    pair = content.pairs[0]
    assert f"{100 * pair.gain:.2f} points" in page
    interval = f"{100 * pair.lower:.2f} to {100 * pair.upper:.2f} points"
    assert interval.replace("-", "−") in page
    assert ", ".join(map(str, pair.better_right.tolist())) in page


@pytest.mark.parametrize(
    ("seconds", "cell"),
    [
        (19.2, ">19.20 s</td>"),
        (-3.0, 'title="the more accurate model is also the faster one">nothing</td>'),
        (None, 'title="no gain, so no error is avoided">n/a</td>'),
    ],
)
def test_the_price_of_an_error_avoided_is_told(content, seconds, cell):
    pair = replace(content.pairs[0], seconds_per_error=seconds)
    assert cell in render(replace(content, pairs=[pair]))


def test_a_fragile_model_is_marked_in_the_table_of_behaviour(page):
    row = re.search(r'<tr><th scope="row">rotated by ±15°</th>(.*?)</tr>', page)
    assert row is not None
    assert row[1].count('class="marked"') == 2
    assert "(−20.0)" in row[1]


def test_a_figure_that_does_not_exist_is_na_with_its_reason(extreme):
    page, absent = render(extreme), "Ankle boot $ &amp; more"
    assert f'title="class {absent} absent">n/a</td>' in page
    assert f"one: n/a: class {absent} absent" in page


def test_a_warning_of_the_validation_is_told(page):
    assert "Passed:" in page
    assert "image seen before in 2 rows" in page


def test_refused_data_is_told_too(content):
    critical = VALIDATION["findings"][0] | {"severity": "critical", "message": "label <10>"}
    refused = VALIDATION | {"success": False, "critical": 1, "findings": [critical]}
    page = render(replace(content, validation=refused))
    assert "1 critical finding, 1 warning" in page
    assert 'class="critical">critical:</span> label &lt;10&gt;' in page


def test_without_a_server_the_links_lead_to_the_page_that_make_ui_opens(page):
    assert 'href="http://127.0.0.1:5000/#/experiments/1/runs/0123456789abcdef?' in page
    assert '?workflowType=machine_learning"' in page
    assert "make ui" in page
    assert "/home/someone" not in page


def test_with_a_server_the_links_lead_to_it(content):
    run = recorded_run("7", "https://mlflow.example.org/")
    page = render(replace(content, models=[replace(model, run=run) for model in content.models]))
    assert 'href="https://mlflow.example.org/#/experiments/7/runs/0123456789abcdef?' in page
    assert "make ui" not in page


def test_one_model_alone_has_a_report(content):
    alone = replace(
        content, models=content.models[:1], pairs=[], verdicts=[], table=content.table[:1]
    )
    assert "nothing to compare it with" in render(alone)


def test_a_class_name_cannot_become_markup(extreme):
    assert "<script>alert" not in render(extreme)


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
def test_in_a_browser_without_network_every_figure_is_drawn(
    case, width, browser, tmp_path, request
):
    content = request.getfixturevalue(case)
    path = tmp_path / "index.html"
    path.write_text(render(content), encoding="utf-8")

    tab, problems = open_offline(browser, path, width)
    matrices = [split.matrix for model in content.models for split in model.splits]
    assert tab.locator(".plotly-graph-div").count() == 2 * len(matrices)
    assert tab.locator(".heatmaplayer image").count() == len(matrices)
    assert tab.locator(".heatmap-label").count() == sum(matrix.size for matrix in matrices)
    assert tab.locator(".parcats path.path").count() == sum(map(np.count_nonzero, matrices))

    widths = tab.eval_on_selector_all("img", "images => images.map(image => image.naturalWidth)")
    assert len(widths) == 2 + 2 * len(content.models) + len(content.pictures)
    assert min(widths) > 100
    # wide tables and figures scroll inside the page, never the page itself
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert problems == []


@pytest.mark.slow
def test_hovering_a_cell_tells_its_shares_and_nothing_offers_to_upload(content, browser, tmp_path):
    path = tmp_path / "index.html"
    path.write_text(render(content), encoding="utf-8")
    tab, problems = open_offline(browser, path, 1366)
    chart = tab.locator("#matrix-mlp-test")
    chart.locator(".nsewdrag").hover()
    tab.locator("#matrix-mlp-test .hovertext").wait_for()
    assert "reference" in chart.locator(".hovertext").text_content()
    titles = chart.locator(".modebar-btn").evaluate_all("all => all.map(one => one.dataset.title)")
    assert titles == ["Download plot as a PNG"]
    assert problems == []
