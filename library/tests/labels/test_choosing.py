"""Which pictures of a pool are chosen: the uncertain ones, of all sorts, no two alike."""

import numpy as np

from imageproof.labels._choosing import choose, uncertain_first

CLUSTERS = 10


def test_unsure_answer_sets_come_first_then_small_margins():
    answers = [[0.5, 0.3, 0.2], [0.39, 0.35, 0.26], [0.9, 0.06, 0.04], [0.5, 0.42, 0.08]]
    answers.append([0.48, 0.26, 0.26])  # a larger margin than row 0, though less sure
    answers.append([0.41, 0.38, 0.21])
    # from 0.4 on a class is in the set: rows 1 (empty) and 3 (two classes) are not sure
    assert uncertain_first(np.array(answers, np.float32), 0.4).tolist() == [1, 3, 5, 0, 4, 2]


def test_chosen_are_uncertain_and_spread_and_a_fifth_is_random():
    rng = np.random.default_rng(0)
    kind = np.arange(1000) // 3 % CLUSTERS
    features = (np.eye(CLUSTERS)[kind] + rng.normal(0, 0.01, (1000, CLUSTERS))).astype(np.float32)
    features *= 10 ** rng.uniform(-3, 3, (1000, 1)).astype(np.float32)  # directions count
    pairs = np.repeat(rng.uniform(0, 255, (500, 64)), 2, axis=0)
    coarse = (pairs + rng.uniform(-4, 4, pairs.shape)).astype(np.float32)
    chosen, random = choose(np.arange(1000), features, coarse, count=50, seed=1)
    assert (len(chosen), len(random)) == (40, 10)
    assert len({*chosen // 2, *random // 2}) == 50  # none beside its near copy
    assert 50 < chosen.max() < 150  # three candidates for each
    assert {*kind[chosen]} == {*range(CLUSTERS)}
    assert random.max() > 500
