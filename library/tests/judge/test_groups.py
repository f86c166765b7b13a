"""Rows in groups: two models without a difference differ no more often than chance allows."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import binomtest

from imageproof.judge._comparison import Candidate, compare_pair
from imageproof.judge._groups import Intervals, sign_flips
from imageproof.judge._verdicts import choice, verdict

DRAWS = 300
ACCURACY = 0.8
LEVEL = 0.05


def clustered(random, sizes, correlation):
    """Hits (n,) of a model whose accuracy differs from group to group: beta-binomial."""
    spread = (1 - correlation) / correlation
    shares = random.beta(ACCURACY * spread, (1 - ACCURACY) * spread, len(sizes))
    return random.random(sizes.sum()) < np.repeat(shares, sizes)


@pytest.mark.parametrize(("is_few", "correlation"), [(False, 0.3), (True, 0.6)])
def test_paired_test_refuses_no_more_than_chance(is_few, correlation):
    """338 groups of 4 rows, or 30 of 4 to 50."""
    random = np.random.default_rng(0)
    counts = np.zeros(3)
    for _ in range(DRAWS):
        sizes = random.integers(4, 51, 30) if is_few else np.full(338, 4)
        groups = np.repeat(np.arange(len(sizes)), sizes)
        hits, rival_hits = (clustered(random, sizes, correlation) for _ in range(2))
        low, high = Intervals(hits, groups).of()
        change = hits.astype(int) - rival_hits
        differs, is_worse = (
            sign_flips(change, groups, alternative=alternative)[0] < LEVEL
            for alternative in ("two-sided", "less")
        )
        counts += differs, is_worse, low <= ACCURACY <= high
    differing, worse, covered = counts / DRAWS
    assert 0.02 <= differing <= 0.08
    assert 0.02 <= worse <= 0.08
    assert covered >= 0.9  # on independent rows down to 0.34


def test_writer_with_half_of_the_rows_is_not_outweighed():
    """Beside 200 rows of one writer are 200 writers of a row each."""
    random = np.random.default_rng(0)
    sizes = np.r_[200, np.ones(200, int)]
    groups = np.repeat(np.arange(201), sizes)
    covered = 0
    for _ in range(DRAWS):
        low, high = Intervals(clustered(random, sizes, 0.3), groups).of()
        covered += low <= ACCURACY <= high
    assert covered / DRAWS >= 0.93  # 0.95 is promised


def test_sign_flips_count_every_sign():
    random = np.random.default_rng(1)
    groups = random.integers(10, size=60)
    differences = random.integers(-1, 2, 60)
    sums = np.bincount(groups, differences)
    drawn = np.array([*product([-1, 1], repeat=10)]) @ sums
    p_value, differing = sign_flips(differences, groups, alternative="less")
    assert p_value == pytest.approx(np.mean(drawn <= sums.sum()))
    two_sided, _ = sign_flips(differences, groups)
    assert two_sided == pytest.approx(np.mean(np.abs(drawn) >= abs(sums.sum())))
    assert differing == np.count_nonzero(sums)


def test_interval_is_that_of_fewer_rows():
    hits = np.arange(400) % 10 > 0
    alone = Intervals(hits, np.arange(400)).of()
    assert alone == pytest.approx(binomtest(360, 400).proportion_ci())
    in_tens = Intervals(np.repeat(hits[:40], 10), np.repeat(np.arange(40), 10))
    assert in_tens.of() == pytest.approx(binomtest(36, 40).proportion_ci(), abs=0.01)
    assert in_tens.effective(slice(10, 100)) < 9  # all of these nine groups are right
    # that all are right in few groups proves little
    right = np.ones(600, bool)
    low, high = Intervals(right, np.arange(600) % 30).of()
    assert 0.99 < low < binomtest(600, 600).proportion_ci().low
    assert high == 1
    assert Intervals(right, np.zeros(600, int)).of() == (0, 1)


def test_fewer_than_six_groups_give_no_verdict():
    right = np.ones(100, bool)
    groups = np.arange(100) % 5
    pair, same = (
        compare_pair(Candidate("a", right, None), Candidate("b", hits, None), right, groups)
        for hits in (~right, right)
    )
    assert (pair.p_value, pair.within_noise) == (None, True)
    assert verdict(pair).startswith("no verdict, as too few groups differ: a gains 100.00 points")
    starts = "No choice: too few groups differ to tell ", "b is the choice: "
    for result, start in zip((pair, same), starts, strict=True):
        assert choice([result], {"a": 2.0, "b": 1.0}).startswith(start)
