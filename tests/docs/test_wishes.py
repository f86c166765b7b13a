"""The examples of «What you edit, what you leave», put where the page says, in a small project."""

import inspect

import numpy as np
import pytest
from arena import fighter, promote
from blocks import blocks
from helpers import finding, record_outputs
from matplotlib.figure import Figure
from mlflow import MlflowClient
from support import REPOSITORY, quoted, write_params

from digits import project as told
from digits.stages import compare, evaluate, report, train
from digits.training import recipe
from imageproof.artifacts import WORKSPACE
from imageproof.base import Dataset
from imageproof.base.errors import DataError
from imageproof.base.files import read_json, write_json
from imageproof.evaluation import asking
from imageproof.registry._evidence import Gate
from imageproof.report.plots._theme import save

HOW_TO = REPOSITORY / "docs/how-to"
EXAMPLES = [block.text for block in blocks(HOW_TO / "what-you-edit.md") if block.comment]
MEANS = next(b.text for b in blocks(HOW_TO / "own-framework.md") if b.text.startswith('"""`means`'))
RAW_DATA = ("class_distribution", "samples", "mean", "median", "standard_deviation")
VALIDATION = {"success": True, "critical": 0, "warnings": 0, "findings": [], "expectations": []}


def put(monkeypatch, module, name, **names):
    """Replace a name of a module by the page's; `names` are imports that the page asks for."""
    [text] = [text for text in EXAMPLES if f"def {name}(" in text or f"{name}: " in text]
    namespace = vars(module) | names
    exec(text, namespace)
    monkeypatch.setattr(module, name, namespace[name])


def insert(monkeypatch, module, name, lines, *, before):
    """Put lines into a class or function of a module, as a user does in its file."""
    source = inspect.getsource(getattr(module, name))
    head, mark, tail = source.partition(before)
    assert mark
    namespace = vars(module).copy()
    exec(f"{head}{lines}{mark}{tail}", namespace)
    monkeypatch.setattr(module, name, namespace[name])


@pytest.fixture
def means(project, add_models):
    """The name of a model that trains without TensorFlow, from the page on other frameworks."""
    add_models({"means": MEANS})
    write_params({"models": ["means"], "train.means": {"scale": 6500}})
    return "means"


def test_score_picture_and_figure_are_shown(means, monkeypatch):
    put(monkeypatch, evaluate, "score")
    put(monkeypatch, evaluate, "draw", Figure=Figure)
    put(monkeypatch, compare, "own_figures")
    own = evaluate.score

    def score(answers):
        with pytest.raises(ValueError, match="read-only"):  # figures of later steps are of it, too
            answers.probabilities.sort()
        return own(answers) | {"kappa": np.float32(7)}  # a name of the library's

    monkeypatch.setattr(evaluate, "score", score)
    put(monkeypatch, report, "PICTURES")
    train.main(means)
    record_outputs()
    evaluate.main(means)
    compare.main()
    run_id = WORKSPACE.trained(means).read_run().run_id
    metrics = MlflowClient().get_run(run_id).data.metrics
    assert metrics["test_kappa"] == 7
    share = metrics["test_bright_accuracy"]
    assert 0 < share < 1
    assert read_json(WORKSPACE.compare / "metrics.json", dict)[means]["bright"] == share
    write_json(WORKSPACE.validation, VALIDATION)
    for name in RAW_DATA:
        save(Figure(), WORKSPACE.explore / f"{name}.png")
    report.main()
    page = WORKSPACE.report.read_text("utf-8")
    assert f'<tr><th scope="row">bright</th><td>{share:.4g}</td>' in page
    assert 'alt="How sure it is, means"' in page


def test_score_takes_colour(monkeypatch):
    put(monkeypatch, evaluate, "score")
    labels = np.arange(4) % 2
    images = np.zeros((4, 2, 2, 3), np.uint8)
    images[2:] = 9
    answers = asking.Answers(Dataset(images, labels), labels, np.eye(2, dtype=np.float32)[labels])
    assert evaluate.score(answers)["bright_accuracy"] == 1


def test_own_check_refuses(ring, monkeypatch):
    put(monkeypatch, told, "CHECKS")
    write_params({"promote.max_latency_ms": None})
    [(rule, _)] = told.CHECKS
    for limit, failed in ((0.01, []), (None, []), (-1, ["max_ones_as_sevens"])):
        monkeypatch.setattr(told, "CHECKS", [(rule, limit)])
        decision = promote(fighter(), Gate(told.load_project())).decision
        assert [check.name for check in decision.checks if not check.passed] == failed
    assert decision.figures["ones_as_sevens"] == 0
    monkeypatch.setattr(told, "CHECKS", [(rule, 1), (rule, 1)])
    line = finding(DataError, promote, fighter(), Gate(told.load_project()))
    assert line.startswith("max_ones_as_sevens: two checks of the gate, or figures of them, ")


@pytest.mark.usefixtures("tensorflow")
def test_own_augmentation_is_one_param(images_8x8, monkeypatch):
    import tensorflow as tf

    from digits.training import augmentation

    [amount] = [text for text in EXAMPLES if "noise: Fraction" in text]
    [change] = [text for text in EXAMPLES if "if by.noise:" in text]
    insert(monkeypatch, recipe, "AugmentParams", amount, before="    cutout:")
    insert(monkeypatch, augmentation, "augmented", change, before="    if by.cutout:")

    def augmented(**by):
        amounts = recipe.AugmentParams(flip=True, **by)
        seed = tf.constant([1, 2], tf.int64)
        return np.asarray(augmentation.augmented(images_8x8.images, seed, by=amounts))

    np.testing.assert_array_equal(augmented(), augmented(noise=0))
    difference = np.abs(augmented(noise=0.1) - augmented())
    assert 5 < difference.mean() < 0.1 * 255


@pytest.mark.usefixtures("tensorflow", "project")
def test_own_metric_is_in_the_history(monkeypatch):
    from digits.training import fit, keras_model

    entry = quoted("maintenance.md", r"A metric: .*?, such as `(.+?)`")
    accuracy = "                keras.metrics.CategoricalAccuracy("
    insert(monkeypatch, fit, "compile_model", f"                {entry},\n", before=accuracy)
    monkeypatch.setattr(keras_model, "compile_model", fit.compile_model)
    write_params({"train.mlp.fit.epochs": 1})
    train.main("mlp")
    [epoch] = WORKSPACE.trained("mlp").read_history()
    assert epoch["accuracy"] <= epoch["top2"] <= 1
    run_id = WORKSPACE.trained("mlp").read_run().run_id
    assert MlflowClient().get_run(run_id).data.metrics["val_top2"] == epoch["val_top2"]
