"""The model card: what it says of a version, where it is kept, and what nobody can make it say."""

import json
import re
from pathlib import Path

import arena
import mlflow
import numpy as np
import pytest
from arena import accept, fighter
from example import NAME
from helpers import Page
from mlflow import MlflowClient

from imageproof.judge.gate import Check, Decision
from imageproof.registry import _promotion
from imageproof.registry._card import MAX_DESCRIPTION, card
from imageproof.registry._version import load_version
from imageproof.registry._versions import find

pytestmark = pytest.mark.usefixtures("ring")

HEADINGS = """\
Model details, Intended use, Factors, Metrics, Training data, Evaluation data, \
Quantitative analyses, Ethical considerations, Caveats and recommendations"""
METRICS = {
    "user_s": 564.4,
    "system_s": 6.1,
    "elapsed_s": 301.3,
    "train_rows": 48000,
    "validation_rows": 6000,
    "test_rows": 10000,
    "holdout_rows": 6000,
    "test_accuracy": 0.9902,
    "holdout_accuracy": 0.992,
    "holdout_accuracy_lower": 0.989,
    "holdout_accuracy_upper": 0.994,
}
HOSTILE = [
    *("<script>alert(1)</script>", "a | b", "# c\n\n# d", "[e](javascript:alert)"),
    *("![f](http://x)", "`g` **h** <!-- i", "\\", "&lt;b&gt;", "\u202ej", "$x^2$"),
]


def evaluate(run, sensitivities):
    """Log what `evaluate` logs of a run, as far as the card reads it."""
    mlflow.log_metrics(METRICS, run_id=run.run_id)
    by_class = {
        name: {"sensitivity": value, "pos_pred_value": 0.5} for name, value in sensitivities.items()
    }
    statistics = {"test": {"by_class": by_class, "overall": {}}}
    mlflow.log_text(json.dumps(statistics), "statistics.json", run_id=run.run_id)


def refuse(_run, _files, challenger, champion):
    """Refuse every challenger, with a reason that is no plain text."""
    checks = (Check("answers", False, " ".join(HOSTILE), "", {}), Check("kind", True, "", "", {}))
    return Decision(challenger, champion, checks)


def promoted(run, *, judge=accept, reason=""):
    """The version after the gate has judged the run."""
    outcome = _promotion.promote(run, NAME, judge=judge, reason=reason)
    return find(f"models:/{NAME}/{outcome.version}")


def described(run, **options):
    """The description of a refused version."""
    return promoted(run, judge=refuse, **options).description


def whole_card(version):
    """The card as it lies among the artifacts of the run."""
    path = f"gate/{NAME}-{version.version}-card.md"
    return mlflow.artifacts.load_text(f"runs:/{version.run_id}/{path}")


def test_every_judged_version_has_one_as_description_and_as_file():
    run = fighter()
    for judge, decision in ((refuse, "refused by answers"), (accept, "accepted")):
        version = promoted(run, judge=judge, reason="to see")
        description = version.description
        assert description.startswith(f"mlp: not evaluated, {decision}\n\n")
        assert ": to see\n" in description
        with load_version(f"models:/{NAME}/1", threads=1) as loaded:
            whole = card(loaded)
        assert whole_card(version) == whole == f"# {NAME}, version 1\n\n{description}"
    assert ", ".join(re.findall("^## (.+)$", description, re.M)) == HEADINGS
    [code] = re.findall("```python\n(.+?)```", description, re.S)
    images = np.zeros((2, 8, 8), np.uint8)
    images[:, 0, 0] = 100 + 7  # as `arena` marks a seven
    names = {"images": images}
    exec(code, names)
    assert names["probabilities"].argmax(axis=1).tolist() == [7, 7]


def test_it_says_what_was_measured_and_what_follows_from_it():
    run = fighter(cpu="AMD EPYC, 2 cores", baseline="HOG", shape=(8, 8, 3))
    MlflowClient().log_param(run.run_id, "image.fit", "pad")
    evaluate(run, {"zero": 0.99, "one": 0.5, "two": None})
    text = promoted(run).description
    for line in (
        "mlp: 0.9920, accepted; hold-out accuracy 0.9920 (0.9890 to 0.9940)\n\nA network",
        "for a colour image of 8×8 pixels",
        "A picture of another size is scaled until it fits",
        "probability of each of 10 classes: &#8296;0&#8297;, &#8296;1&#8297;, ",
        "- Trained in 301 s (564 s of processor time and 6 s of the system's) with 2 threads on",
        "; 48,000 rows, and 6,000 validation rows\n",
        "| rows | 10,000 | 6,000 |",
        "| accuracy | 0.9902 | 0.9920 (0.9890 to 0.9940) |",
        "| two | n/a | 0.5000 |",
        "| kind | ok |  |  |",
        "- Weakest class: one, of whose test images it recognises 50.0 %",
    ):
        assert line in text


def describe(pointer, text):
    """Write what a .dvc file says of what it names."""
    md5 = "d" * 32
    meta = {"license": "CC0", "source": "an attic", "describes": md5}
    Path(pointer).write_text(json.dumps({"outs": [{"md5": md5, "desc": text}], "meta": meta}))


def test_data_and_backbone_are_described():
    run = fighter()
    MlflowClient().log_param(run.run_id, "backbone", "net")
    Path("backbones").mkdir()
    describe("backbones/net.onnx.dvc", "Small")
    describe("data.dvc", "Letters")
    text = described(run)
    assert "\n- Letters\n- Source: an attic\n- Licence: CC0\n" in text
    assert "\n- Backbone net: Small; licence: CC0; origin: an attic\n" in text


def test_texts_of_others_stay_texts():
    run = fighter()
    words = " ".join(HOSTILE)
    evaluate(run, dict.fromkeys(HOSTILE, 0.5))
    MlflowClient().log_param(run.run_id, "hostile", words)
    describe("data.dvc", words)
    text = described(run, reason=words)
    page = Page(text)
    allowed = "h2 p ul li code pre strong table thead tbody tr th td"
    assert {*page.tags} == {*allowed.split()}
    assert page.tags.count("h2") == len(HEADINGS.split(", "))
    tables = re.findall(r"(?:^\|.*\n)+", text, re.M)
    assert [len({row.count("|") for row in table.splitlines()}) for table in tables] == [1] * 3
    assert "\u202e" not in text
    assert "$" not in text  # GitHub takes what stands between two for a formula
    for word in ("<script>alert(1)</script>", "# c\\n\\n# d", "&lt;b&gt;", "$x^2$"):
        assert word in page.outside


def test_a_description_leaves_out_what_it_has_no_room_for():
    run = fighter()
    evaluate(run, {f"class {number:03}": number / 200 for number in range(200)})
    version = promoted(run)
    assert len(version.description) <= MAX_DESCRIPTION
    assert "\n\nThe whole card: gate/" in version.description
    assert "| class 199 | " in whole_card(version)


def test_a_description_of_a_persons_stays():
    run = fighter()
    promoted(run, judge=refuse)
    MlflowClient().update_model_version(NAME, "1", "mine")
    version = promoted(run, judge=refuse, reason="once more")
    assert version.description == "mine"
    assert ": once more\n" in whole_card(version)


def test_what_is_wrong_with_a_card_stops_no_move(capsys):
    first = promoted(fighter())
    promoted(fighter(arena.EVEN))
    Path("templates").mkdir()
    Path("templates/card.md.j2").write_text("\n{{ nothing }}", "utf-8")
    assert _promotion.rollback(NAME).after == str(first.version)
    [line] = capsys.readouterr().err.splitlines()
    reason = "templates/card.md.j2:2: 'nothing' is undefined"
    assert line == f"warning: models:/{NAME}/{first.version}: no model card: {reason}"
