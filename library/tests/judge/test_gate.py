"""The gate: what it lets through, what it refuses, and by which check."""

import numpy as np
import pandas as pd
import pytest
from example import PARAMS

from imageproof.base.errors import AnswersError
from imageproof.judge.gate import GATE, Check, Contender, Evidence, Paired, approval
from imageproof.judge.limits import PromoteParams
from imageproof.registry._champion_checks import column_of_each_class
from imageproof.registry._decision import decide

ROWS = 2000
TRUTH = np.arange(ROWS) % 10
MEASURED = {
    "latency_ms": {1: 5},
    "size_mb": 4,
    "truth_probabilities": np.full(1000, 0.05, np.float32),
    "coverage": 0.5,
    "test_hits": np.arange(5000) >= 100,
}
KEYS = [*PromoteParams.model_fields]
OFF = dict.fromkeys(KEYS)
PAIRED = OFF | {"paired_test": 0.05}
UNUSED = "beats_baseline", "max_balanced_accuracy_loss", "max_macro_f1_loss", "holdout_test"
LIMITS = PARAMS["promote"] | {"min_accuracy": 0.9} | dict.fromkeys(UNUSED)
PER_CLASS = np.bincount(TRUTH)
TWENTY_GROUPS = np.arange(ROWS) // 100
WRITERS = pd.DataFrame({"writer": TWENTY_GROUPS}, dtype=str)
HALF = PER_CLASS // 2
ON_OTHER_ROWS = Paired(HALF, HALF - 1, HALF - 2)
DECAYED = {"former": [PER_CLASS - 8 * (np.arange(10) == 3)]}
CLASS_3 = np.flatnonzero(TRUTH == 3)
CLASS_5 = np.flatnonzero(TRUTH == 5)


def answering(predicted, *, truth=TRUTH, classes=10, sure=None, **fields):
    """A contender that is as sure as it is often right."""
    sure = sure or min(max(float(np.mean(predicted == truth)), 0.5), 0.999)
    chances = np.full((len(truth), classes), (1 - sure) / (classes - 1), np.float32)
    chances[np.arange(len(truth)), predicted] = sure
    rows = np.ones(len(truth), bool)
    fields = {"name": "m", "unseen": rows} | fields
    return Contender(probabilities=chances, **fields)


def wrong_on(rows=(), **fields):
    predicted = TRUTH.copy()
    predicted[list(rows)] = (predicted[list(rows)] + 1) % 10
    return answering(predicted, **fields)


PERFECT = wrong_on()


def decided(challenger, champion=None, *, former=(), truth=TRUTH, classes=10, **changes):
    """`former` has the hits of earlier champions by class, or a pair.

    Keys of `changes` are limits, fields of the evidence, or `own_checks`.
    """
    rows = np.bincount(truth)
    hits = np.bincount(truth[challenger.predicted == truth])
    pairs = [p if isinstance(p, Paired) else Paired(rows, p, hits) for p in former]
    limits = LIMITS | {key: changes.pop(key) for key in KEYS if key in changes}
    own_checks = changes.pop("own_checks", ())
    evidence = Evidence(
        challenger=challenger,
        champion=champion,
        labels=truth,
        names=[f"c{label}" for label in range(classes)],
        former={str(number): pair for number, pair in enumerate(pairs, 1)},
        **MEASURED | changes,
    )
    return decide(evidence, PromoteParams(**limits), own_checks)


def failed(*contenders, **changes):
    return decided(*contenders, **changes).failed


def fact(check):
    """The evidence that no answer decides."""
    return {"facts": {check.name: check}}


@pytest.mark.parametrize(
    ("challenger", "champion", "changes", "refused"),
    [
        (range(200), None, {}, []),
        (range(201), None, {}, ["min_accuracy"]),
        (CLASS_3[:165], None, {}, []),  # of 200 rows, at least 12 % are right
        (CLASS_3[:175], None, {}, ["min_sensitivity"]),
        (range(4), (), {}, []),  # a loss of the margin
        (range(5), (), {}, ["paired_test", "max_accuracy_loss"]),
        (range(20), range(100, 115), {}, ["max_accuracy_loss"]),
        (CLASS_3[:4], CLASS_5[:5], {}, []),  # of 200 rows, 2 %
        (CLASS_3[:5], CLASS_5[:5], {}, ["max_sensitivity_loss"]),
        (range(9), range(100, 1000, 100), {"metadata": WRITERS}, ["max_slice_loss"]),
        (range(9), range(100, 1000, 100), {"metadata": WRITERS, "groups": TWENTY_GROUPS}, []),
        # losses do not add up over champions, nor does a class decay
        (range(6), range(4), {"former": [PER_CLASS]}, []),
        (range(7), range(4), {"former": [PER_CLASS]}, ["max_total_loss"]),
        (range(6), range(4), {"former": [PER_CLASS, ON_OTHER_ROWS]}, ["max_total_loss"]),
        (CLASS_5[:8], CLASS_5[:4], {}, []),
        (CLASS_5[:8], CLASS_5[:4], DECAYED, ["max_sensitivity_loss"]),
        (CLASS_5[:4], CLASS_5[:4], DECAYED, []),
        # losses in few groups prove nothing
        (range(ROWS), (), PAIRED | {"groups": np.arange(ROWS) % 5}, []),
        (range(ROWS), (), PAIRED | {"groups": np.arange(ROWS) % 6}, ["paired_test"]),
    ],
)
def test_challenger_against_champion(challenger, champion, changes, refused):
    opponent = None if champion is None else wrong_on(champion)
    assert failed(wrong_on(challenger), opponent, **changes) == refused


def test_classes_of_two_models_are_matched_by_name():
    names = [*"abcd"]
    assert column_of_each_class([*"bacd"], names) == [1, 0, 2, 3]
    assert column_of_each_class([*"0123"], names) == [0, 1, 2, 3]  # they had no names
    for unlike in ("wxyz", "abcx"):  # in which order, nobody knows
        with pytest.raises(AnswersError, match="its classes are called otherwise"):
            column_of_each_class([*unlike], names)


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({"latency_ms": {1: 50}, "size_mb": 50}, []),
        ({"latency_ms": {1: 50.1}}, ["max_latency_ms"]),
        ({"size_mb": 50.1}, ["max_size_mb"]),
        ({"truth_probabilities": np.ones(1000, np.float32)}, ["coverage_test", "max_unsure"]),
        ({"truth_probabilities": np.full(1000, 1e-9, np.float32)}, ["max_unsure"]),
        (fact(Check("data_validated", False, "2 critical findings")), ["data_validated"]),
        (fact(approval("ada", "")), []),
        (fact(approval("", "ada")), ["approval"]),
        (fact(approval("", GATE)), ["approval"]),
        (fact(approval("", GATE)) | {"size_mb": 50.1}, ["max_size_mb"]),
        ({"classes": 11}, ["min_sensitivity"]),  # one has no rows
    ],
)
def test_evidence_is_refused_by_its_own_check(changes, refused):
    assert failed(PERFECT, **changes) == refused


def test_refusal_has_a_figure_beyond_its_limit():
    [check] = decided(PERFECT, size_mb=50.04, **OFF | {"max_size_mb": 50}).checks
    assert (check.found, check.allowed) == ("50.04 MB", "at most 50")


@pytest.mark.parametrize(
    ("key", "wrong", "limits", "fewer"),
    [
        ("coverage_test", 250, {"coverage_test": 0.05, "coverage": 0.9}, "groups"),
        ("holdout_test", 10, {"holdout_test": 0.001}, "groups"),
        ("holdout_test", 0, {"holdout_test": 0.001}, "test_groups"),
        # as sure as if 40 were wrong
        ("max_calibration_error", 80, {"max_calibration_error": 0.01}, "groups"),
    ],
)
def test_fewer_independent_rows_prove_less(key, wrong, limits, fewer):
    challenger = wrong_on(range(wrong), sure=0.98 if wrong == 80 else None)
    rows = {"groups": ROWS, "test_groups": 5000}[fewer]
    for changes, refused in (({}, [key]), ({fewer: np.arange(rows) // 100}, [])):
        assert failed(challenger, **OFF | limits | changes) == refused


def test_checks_are_named_as_their_keys():
    facts = {key: Check(key, True, "") for key in ("shadow", "data_validated", "clean_commit")}
    limits = {key: LIMITS[key] or 0.5 for key in KEYS if key not in facts}
    hits = np.ones(ROWS, bool)
    decision = decided(PERFECT, PERFECT, facts=facts, baseline_hits=hits, **limits)
    assert [check.name for check in decision.checks] == KEYS
    decision = decided(wrong_on(range(ROWS)), PERFECT, **dict.fromkeys(KEYS, False))
    assert decision.checks == ()
    assert decision.accepted


@pytest.mark.parametrize(
    ("key", "limit"),
    [
        ("min_balanced_accuracy", 0.875),
        ("max_macro_f1_loss", -0.073),
    ],
)
def test_balanced_limits_see_a_rare_class(key, limit):
    """A quarter of it is lost, 0.5 % of all rows."""
    truth = np.repeat([0, 1], [980, 20])
    model = answering(np.repeat([0, 1], [985, 15]), truth=truth)
    champion = answering(truth, truth=truth)
    for bound, refused in ((limit, []), (limit + 0.001, [key])):
        assert failed(model, champion, truth=truth, **OFF | {key: abs(bound)}) == refused


def test_note_says_what_to_know_of_the_champion():
    champion = wrong_on(range(10), fit="crop")
    for wrong, fit, start in (
        (10, "", "not better than the champion: right on 0.9950 of the hold-out rows against 0.9"),
        (0, "pad", "the champion was trained on pictures with fit: crop, and asked for those"),
        (9, "crop", ""),
    ):
        note = decided(wrong_on(range(wrong), fit=fit), champion).note
        assert note.startswith(start)
        assert bool(note) == bool(start)


def test_pair_is_compared_on_rows_unseen_by_both():
    """The champion learned 500 rows by heart, the challenger 300 others."""
    older = np.arange(ROWS) < 1500
    champion = wrong_on(range(500, 800), name="3", unseen=np.arange(ROWS) >= 500, older=older)
    challenger = wrong_on(range(300), name="version 4", unseen=np.arange(ROWS) >= 300)
    checks = [(lambda view, limit: Check("own", len(view.labels) != limit, ""), 1700)]
    decision = decided(challenger, champion, max_calibration_error=None, own_checks=checks)
    assert decision.failed == ["own"]
    assert decision.figures["only_challenger"] == 300
    assert decision.checks[0].found == (
        "1,500 of 2,000 hold-out rows are unseen by version 4 and version 3"
        "; rows older than the champion: 1,000, 1.0000 right against 0.7000"
        "; rows newer than the champion: 500, 1.0000 right against 1.0000"
    )
    assert [pair.rows for pair in decision.compared] == [1700, 1500]
    assert sum(decision.right) == 1700


def test_too_few_unseen_rows_decide_nothing():
    for count, verdict in ((100, "accepted"), (99, "undecided")):
        rows = np.arange(ROWS) < count
        decision = decided(PERFECT, wrong_on(range(50), unseen=rows))
        first = decided(wrong_on(unseen=rows))
        assert decision.verdict == first.verdict == verdict
        assert ("champion_accuracy" in decision.figures) == decision.accepted
        assert ("holdout_ece" in first.figures) == first.accepted


def test_only_worse_than_the_baseline_is_refused():
    """Where 32 are wrong instead of 30, the model is worse by chance, perhaps."""
    hits = np.arange(ROWS) < ROWS - 30
    limits = OFF | {"beats_baseline": 0.05}
    for wrong, text in ((60, "0.9850 of the baseline (HOG); worse"), (32, "0.9840 against")):
        model = wrong_on(range(wrong))
        [check] = decided(model, baseline="HOG", baseline_hits=hits, **limits).checks
        assert text in check.found
        assert check.passed == (wrong == 32)
