"""The gate: what it lets through, what it refuses, and by which check."""

from dataclasses import replace

import numpy as np
import pytest
from chances import honest

from imageproof.judge.gate import Contender, Facts, PromoteParams, approval
from imageproof.registry.gate_checks import decide, right_by_class

ROWS = 2000
TRUTH = np.arange(ROWS) % 10
GOOD = Facts(
    latency_ms={1: 5, 100: 60},
    cpu="Abacus, 2 cores",
    size_mb=4,
    data_md5="d" * 32,
    data_finding=None,
    commit="c" * 40,
    commit_finding=None,
    coverage=0.99,
    coverage_asked=0.99,
    coverage_p_value=0.5,
    unsure=0.01,
    test_right=4900,
    test_rows=5000,
)
PARAMS = PromoteParams(
    min_accuracy=0.9,
    min_balanced_accuracy=None,
    min_macro_f1=None,
    min_sensitivity=0.1,
    paired_test=0.05,
    max_accuracy_loss=0.002,
    max_balanced_accuracy_loss=None,
    max_macro_f1_loss=None,
    max_sensitivity_loss=0.02,
    max_total_loss=0.003,
    max_slice_loss=0.05,
    max_calibration_error=0.02,
    coverage_test=0.001,
    max_unsure=0.2,
    holdout_test=None,
    max_latency_ms=50,
    max_size_mb=50,
    same_signature=True,
    data_validated=True,
    clean_commit=True,
)


BALANCED = [key for key in PromoteParams.model_fields if "balanced" in key or "macro" in key]
ALL_RIGHT = np.bincount(TRUTH)


def wrong_on(*rows, name="m", signature="uint8 (-1, 8, 8)"):
    predicted = TRUTH.copy()
    predicted[list(rows)] = (predicted[list(rows)] + 1) % 10
    return Contender(name, predicted, signature, calibration_error=0.004)


def decided(
    challenger, champion=None, *, facts=GOOD, former=None, truth=TRUTH, classes=10, **changes
):
    params, names = PARAMS.model_copy(update=changes), [f"c{label}" for label in range(classes)]
    given = {"params": params, "former": former or {}, "names": names, "slices": {}}
    return decide(challenger, champion, truth, facts, **given)


def failed(*contenders, **given):
    return decided(*contenders, **given).failed


def check_of(decision, name):
    [check] = [check for check in decision.checks if check.name == name]
    return check


def test_gate_accepts_a_first_a_better_and_an_equal_challenger():
    assert failed(wrong_on(0, 1)) == []
    assert failed(wrong_on(), wrong_on(*range(50))) == []
    assert failed(wrong_on(*range(10)), wrong_on(*range(10, 20))) == []


def test_a_loss_within_the_margin_is_accepted_and_one_row_more_is_not():
    assert failed(wrong_on(*range(4)), wrong_on()) == []
    assert failed(wrong_on(*range(5)), wrong_on()) == ["paired_test", "max_accuracy_loss"]


def test_margin_and_paired_test_refuse_alone():
    challenger, champion = wrong_on(*range(20)), wrong_on(*range(100, 115))
    assert failed(challenger, champion) == ["max_accuracy_loss"]
    assert failed(wrong_on(*range(5)), wrong_on(), max_accuracy_loss=0.5) == ["paired_test"]


@pytest.mark.parametrize(
    ("wrong", "former", "refused"),
    [
        (6, {"1": ALL_RIGHT}, []),
        (7, {"1": ALL_RIGHT}, ["max_total_loss"]),
        (7, {"1": ALL_RIGHT, "2": ALL_RIGHT - 2}, ["max_total_loss"]),
        (7, {"1": None}, []),
    ],
)
def test_losses_within_the_margin_do_not_add_up_over_champions(wrong, former, refused):
    assert failed(wrong_on(*range(wrong)), wrong_on(*range(4)), former=former) == refused


def test_too_low_an_accuracy_is_refused_without_an_opponent():
    assert failed(wrong_on(*range(201))) == ["min_accuracy"]
    assert failed(wrong_on(*range(200))) == []


def test_champion_of_another_input_is_no_opponent():
    other = wrong_on(signature="uint8 (-1, 28, 28)")
    assert failed(wrong_on(), other) == ["same_signature"]
    blind = Contender("old", None, "uint8 (-1, 28, 28)")
    names = ["paired_test", "max_accuracy_loss", "max_sensitivity_loss", "same_signature"]
    assert failed(wrong_on(), blind) == names


@pytest.mark.parametrize(
    ("fact", "value", "check"),
    [
        ("latency_ms", {1: 50.1}, "max_latency_ms"),
        ("size_mb", 50.1, "max_size_mb"),
        ("coverage_p_value", 0.0009, "coverage_test"),
        ("unsure", 0.21, "max_unsure"),
        ("data_finding", "2 critical findings", "data_validated"),
        ("commit_finding", "uncommitted changes", "clean_commit"),
    ],
)
def test_each_fact_is_refused_by_its_own_check(fact, value, check):
    assert failed(wrong_on(), facts=replace(GOOD, **{fact: value})) == [check]
    assert failed(wrong_on(), facts=replace(GOOD, latency_ms={1: 50}, size_mb=50)) == []


def test_probabilities_that_say_more_than_the_answers_are_right_are_refused():
    sure = np.eye(10, dtype=np.float32)[TRUTH]
    honest, boastful = 0.98 * sure + 0.002, sure.copy()
    for probabilities in (honest, boastful):
        probabilities[:40] = np.roll(probabilities[:40], 1, axis=1)  # 2 % are wrong
    refused = {"max_calibration_error": 0.01}
    assert failed(Contender.answering("m", honest, TRUTH), **refused) == []
    boast = Contender.answering("m", boastful, TRUTH)
    assert failed(boast, **refused) == ["max_calibration_error"]
    assert boast.calibration_error == pytest.approx(0.02)


@pytest.mark.parametrize("n", [100, 300, 1000])
def test_an_honest_model_is_not_refused_because_the_rows_are_few(n):
    beyond_limit = refused = 0
    for seed in range(100):
        chances, truth = honest(n, seed=seed)
        contender = Contender.answering("m", chances, truth)
        beyond_limit += contender.calibration_error > PARAMS.max_calibration_error
        refused += bool(failed(contender, truth=truth, classes=5, min_accuracy=None))
    assert beyond_limit > 50
    assert refused <= 5


def test_the_time_for_one_image_is_limited_and_that_for_more_is_on_record_with_the_processor():
    check = check_of(decided(wrong_on()), "max_latency_ms")
    assert check.passed
    assert "5.0 ms for 1 and 60.0 ms for 100 (p95; Abacus, 2 cores)" in check.found
    assert check.figures == {"latency_1_p95_ms": 5, "latency_100_p95_ms": 60}


def test_a_class_may_lose_just_as_much_as_is_allowed():
    of_class_3, elsewhere = np.flatnonzero(TRUTH == 3), np.flatnonzero(TRUTH == 5)
    for lost, refused in ((4, []), (5, ["max_sensitivity_loss"])):  # of 200 rows, 2 %
        assert failed(wrong_on(*of_class_3[:lost]), wrong_on(*elsewhere[:5])) == refused


def test_checks_are_named_as_their_keys_and_turned_off_by_them():
    on = dict.fromkeys(BALANCED, 0.5)
    decision = decided(wrong_on(), wrong_on(), holdout_test=0.001, **on)
    assert {check.name for check in decision.checks} == set(PromoteParams.model_fields)
    for off in (None, False):
        none = dict(PromoteParams(**dict.fromkeys(PromoteParams.model_fields, off)))
        decision = decided(wrong_on(*range(ROWS)), wrong_on(), **none)
        assert decision.checks == ()
        assert decision.accepted


def test_the_figures_behind_a_decision_are_kept():
    figures = decided(wrong_on(1), wrong_on(0, 2, 3)).figures
    assert figures["holdout_accuracy"] == 1 - 1 / ROWS
    assert figures["champion_accuracy"] == 1 - 3 / ROWS
    assert (figures["only_challenger"], figures["only_champion"]) == (3, 1)


def test_dead_class_never_passes():
    truth = np.repeat([0, 1, 2], [900, 90, 10])
    for right, refused in ((0, ["min_sensitivity"]), (2, ["min_sensitivity"]), (5, [])):
        predicted = np.where(truth == 2, 0, truth)
        predicted[990 : 990 + right] = 2
        contender = Contender("m", predicted, "", calibration_error=0.0)
        decision = decided(contender, truth=truth, classes=3)
        assert decision.failed == refused
        check = check_of(decision, "min_sensitivity")
        assert check.found.startswith(f"class c2: {right} of 10 rows right, so at least 0.")


def test_class_without_rows_fails_min_sensitivity():
    for classes, refused in ((10, []), (11, ["min_sensitivity"])):
        assert failed(wrong_on(), classes=classes) == refused


def test_class_must_not_decay_over_champions():
    of_class_5, of_class_3 = np.flatnonzero(TRUTH == 5), np.flatnonzero(TRUTH == 3)
    champion = wrong_on(*of_class_5[:4])
    former = {"1": right_by_class(wrong_on(*of_class_3[:8]).predicted == TRUTH, TRUTH)}
    challenger = wrong_on(*of_class_5[:8])
    assert failed(challenger, champion, paired_test=None) == []
    assert failed(challenger, champion, former=former, paired_test=None) == ["max_sensitivity_loss"]
    assert failed(wrong_on(*of_class_5[:4]), champion, former=former) == []
    check = check_of(decided(challenger, champion, former=former), "max_sensitivity_loss")
    assert check.found == "class c5: 0.9600 against 1.0000 of version 1"


RARE = np.repeat([0, 1], [980, 20])
KNOWS_RARE = Contender("old", RARE, "", calibration_error=0.0)


@pytest.mark.parametrize(
    ("key", "passes", "fails", "found"),
    [
        ("min_balanced_accuracy", 0.875, 0.876, "0.8750 on 1,000 hold-out rows"),
        ("min_macro_f1", 0.927, 0.928, "0.9273 on 1,000 hold-out rows"),
        ("max_balanced_accuracy_loss", 0.125, 0.124, "0.8750 against 1.0000: -0.1250"),
        ("max_macro_f1_loss", 0.073, 0.072, "0.9273 against 1.0000: -0.0727"),
    ],
)
def test_balanced_limits_see_a_rare_class(key, passes, fails, found):
    predicted = RARE.copy()
    predicted[980:985] = 0  # a quarter of it is lost, 0.5 % of all rows
    challenger = replace(KNOWS_RARE, predicted=predicted)
    only = dict.fromkeys(PromoteParams.model_fields)
    for limit, refused in ((passes, []), (fails, [key])):
        given = {"truth": RARE, "classes": 2, **only, key: limit}
        decision = decided(challenger, KNOWS_RARE, **given)
        assert decision.failed == refused
        assert decision.checks[0].found.startswith(found)
    assert failed(KNOWS_RARE, **given) == []
    blind = replace(KNOWS_RARE, predicted=None)
    assert failed(KNOWS_RARE, blind, **given) == [key] * key.startswith("max_")


def test_check_on_too_few_rows_says_so():
    truth = np.repeat(np.arange(10), [4, *[20] * 9])
    answers = Contender("m", truth, "", calibration_error=0.0)
    words = "; rows too few to tell: 4 of class c0, 10 needed"
    for limit, remark in ((0.025, ""), (0.01, words)):
        on = {"truth": truth, "max_balanced_accuracy_loss": limit}
        check = check_of(decided(answers, answers, **on), "max_balanced_accuracy_loss")
        assert check.found == f"1.0000 against 1.0000: +0.0000{remark}"


def test_hold_out_learned_by_heart_is_refused():
    facts = replace(GOOD, test_right=9830, test_rows=10_000)
    for wrong, refused in ((0, ["holdout_test"]), (30, [])):
        assert failed(wrong_on(*range(wrong)), facts=facts, holdout_test=0.001) == refused
    unknown = replace(GOOD, test_right=0, test_rows=0)
    assert failed(wrong_on(), facts=unknown, holdout_test=0.001) == []


@pytest.mark.parametrize(
    ("wrong", "note"),
    [
        (0, ""),
        (10, "not better than the champion: right on 0.9950 of the hold-out rows against 0.9950"),
        (11, "not better than the champion: right on 0.9945 of the hold-out rows against 0.9950"),
    ],
)
def test_note_says_not_better(wrong, note):
    assert decided(wrong_on(*range(wrong)), wrong_on(*range(10))).note == note


def test_a_person_is_one_more_check():
    assert approval("", "") is None
    assert approval("ada", "").passed
    refused = approval("", "ada")
    assert (refused.passed, refused.found) == (False, "rejected by ada")
