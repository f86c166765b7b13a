"""Data that grow: the gate keeps the better of two models, whose answers are drawn.

A picture's part follows from its hash, as `split.method: hashed` has it, or all parts are drawn
anew for the grown data, as other methods have it.
"""

from collections import Counter

import numpy as np
import pytest
from scipy.stats import binomtest

from imageproof.judge.gate import Contender, Evidence
from imageproof.judge.limits import PromoteParams
from imageproof.registry._decision import decide
from imageproof.registry._seen_rows import DataRows

GROWTHS = 300
PICTURES = 3000
GROWN = 3300  # 10 % more
HASHES = np.array([f"{n:016d}".encode() for n in range(GROWN)], "S16")
SHARE = 0.15  # of the pictures in the hold-out
CLASSES = 5
MEMORY = 0.9  # of the rows that a model is trained on, it learns so many by heart
# what fits data of this size: tests, and no loss that must stay below the noise
PARAMS = PromoteParams(
    **dict.fromkeys(PromoteParams.model_fields)
    | {"min_unseen": 100, "paired_test": 0.05, "min_accuracy": 0.5}
)


def grow(seed, champion, challenger, *, redrawn):
    """The gate's decision between models of such accuracies, the champion of the first pictures."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, CLASSES, GROWN)
    ease = random.random(GROWN)  # hard pictures are hard for both models
    holdouts = random.random((2, GROWN)) < SHARE
    old_holdout, new_holdout = holdouts if redrawn else holdouts[[0, 0]]
    holdout = np.flatnonzero(new_holdout)
    contenders = []
    for accuracy, held in ((challenger, new_holdout), (champion, old_holdout[:PICTURES])):
        hashes = HASHES[: len(held)]
        rows = DataRows(hashes[~held], hashes[held])
        skill = 0.5 * ease + 0.5 * random.random(GROWN)
        right = skill < np.quantile(skill, accuracy)
        learned = (np.arange(GROWN) < len(held)) & (random.random(GROWN) < MEMORY)
        learned[: len(held)] &= ~held
        predicted = np.where(right | learned, labels, (labels + 1) % CLASSES)[holdout]
        past = rows.past(HASHES[holdout])
        contenders.append(Contender("m", np.eye(CLASSES, dtype=np.float32)[predicted], **past))
    new, old = contenders
    evidence = Evidence(challenger=new, champion=old, labels=labels[holdout], names=[*"abcde"])
    return decide(evidence, PARAMS)


@pytest.mark.parametrize(
    ("champion", "challenger", "redrawn"),
    [(0.85, 0.75, False), (0.8, 0.8, False), (0.8, 0.8, True)],
)
def test_verdicts_on_models_of_known_accuracy(champion, challenger, redrawn):
    """Where parts are drawn anew, about 120 rows are unseen by both, and sometimes under 100."""
    decisions = [grow(seed, champion, challenger, redrawn=redrawn) for seed in range(GROWTHS)]
    counts = Counter(decision.verdict for decision in decisions)
    assert (counts["undecided"] > 0) == redrawn
    if challenger < champion:
        assert counts["accepted"] <= 0.05 * GROWTHS
    else:
        decided = GROWTHS - counts["undecided"]
        assert binomtest(counts["refused"], decided).proportion_ci().low <= 0.05
