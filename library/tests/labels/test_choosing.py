"""Which pictures of a pool are chosen: the uncertain ones, of all sorts, no two alike."""

import numpy as np
import pytest

from imageproof.labels._choosing import NEAR, RANDOM_SHARE, choose, uncertain_first

CLUSTERS = 10


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_larger_or_empty_answer_sets_come_first_then_small_margins():
    answers = [[0.5, 0.3, 0.2], [0.39, 0.35, 0.26], [0.9, 0.06, 0.04], [0.5, 0.42, 0.08]]
    answers.append([0.48, 0.26, 0.26])  # a larger margin than row 0, though less sure
    answers.append([0.41, 0.38, 0.21])
    # from 0.4 on a class is in the set: rows 1 (empty) and 3 (two classes) are not sure
    assert uncertain_first(np.array(answers, np.float32), 0.4).tolist() == [1, 3, 5, 0, 4, 2]


def test_chosen_are_uncertain_and_spread_and_a_fifth_is_random(rng):
    kind = np.arange(1000) // 3 % CLUSTERS
    features = (np.eye(CLUSTERS)[kind] + rng.normal(0, 0.01, (1000, CLUSTERS))).astype(np.float32)
    features *= 10 ** rng.uniform(-3, 3, (1000, 1)).astype(np.float32)  # directions count
    coarse = rng.uniform(0, 255, (1000, 64)).astype(np.float32)
    chosen, random = choose(np.arange(1000), features, coarse, count=50, seed=1)
    assert (len(chosen), len(random)) == (40, 10) == (50 - 10, RANDOM_SHARE * 50)
    assert len({*chosen, *random}) == 50
    assert 50 < chosen.max() < 150  # three candidates for each
    assert {*kind[chosen]} == {*range(CLUSTERS)}
    assert random.max() > 500
    few, _ = choose(np.arange(1000), features, coarse, count=13, seed=1)
    assert sorted(kind[few]) == [*range(CLUSTERS)]
    again = choose(np.arange(1000), features, coarse, count=50, seed=1)
    assert [rows.tolist() for rows in again] == [chosen.tolist(), random.tolist()]


def test_near_copies_are_chosen_once(rng):
    pictures = rng.uniform(50, 200, (30, 64)).astype(np.float32)
    coarse = np.repeat(pictures, 10, axis=0) + rng.uniform(-NEAR / 4, NEAR / 4, (300, 64))
    rows = choose(np.arange(300), pictures[np.arange(300) // 10], coarse, count=25, seed=1)
    numbers = np.concatenate(rows) // 10
    assert len(numbers) == len({*numbers}) == 25


def test_small_pool_is_chosen_whole(rng):
    coarse = rng.uniform(0, 255, (7, 64)).astype(np.float32)
    chosen, random = choose(np.arange(7), coarse, coarse, count=200, seed=1)
    assert sorted([*chosen, *random]) == [*range(7)]
    assert len(random) == 1
