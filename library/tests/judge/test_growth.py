"""Data that grow: the gate keeps the better of two models, whose answers are drawn.

A picture's part follows from its hash, as `split.method: hashed` has it, or all parts are drawn
anew for the grown data, as other methods have it.
"""

import re
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.stats import binomtest

from imageproof.judge.gate import Contender, Decision, Evidence
from imageproof.judge.limits import PromoteParams
from imageproof.registry.decision import decide
from imageproof.registry.seen_rows import DataRows

GROWTHS = 300
PICTURES = 3000
GROWN = 3300  # 10 % more
SHARE = 0.15  # of the pictures in the hold-out
CLASSES = 5
MEMORY = 0.9  # of the rows that a model is trained on, it learns so many by heart
# what fits data of this size: tests, and no loss that must stay below the noise
PARAMS = PromoteParams(
    **dict.fromkeys(PromoteParams.model_fields)
    | {"min_unseen": 100, "paired_test": 0.05, "min_accuracy": 0.5}
)


@dataclass
class Growth:
    """One draw: 3,300 pictures, of which the champion's data have the first 3,000."""

    random: np.random.Generator
    redrawn: bool

    def __post_init__(self) -> None:
        self.labels = self.random.integers(0, CLASSES, GROWN)
        self.hashes = np.array([f"{n:016d}".encode() for n in range(GROWN)], "S16")
        self.places = self.random.random(GROWN)
        self.ease = self.random.random(GROWN)  # hard pictures are hard for both models

    def rows(self, count: int) -> DataRows:
        """What a model of the first `count` pictures has seen."""
        if self.redrawn:
            self.places = self.random.random(GROWN)
        holdout = self.places[:count] < SHARE
        hashes = self.hashes[:count]
        return DataRows(hashes[~holdout], hashes[holdout])

    def answers(self, name: str, accuracy: float, rows: DataRows, holdout: np.ndarray) -> Contender:
        """A model that is right on so many new pictures, and on nearly all that it has learned."""
        skill = 0.5 * self.ease + 0.5 * self.random.random(GROWN)
        right = skill < np.quantile(skill, accuracy)
        learned = np.isin(self.hashes, rows.seen) & (self.random.random(GROWN) < MEMORY)
        predicted = np.where(right | learned, self.labels, (self.labels + 1) % CLASSES)[holdout]
        past = rows.past(self.hashes[holdout])
        return Contender(name, np.eye(CLASSES, dtype=np.float32)[predicted], **past)

    def decide(self, champion: float, challenger: float) -> Decision:
        old_rows = self.rows(PICTURES)
        new_rows = self.rows(GROWN)
        holdout = np.flatnonzero(np.isin(self.hashes, new_rows.holdout))
        evidence = Evidence(
            challenger=self.answers("new", challenger, new_rows, holdout),
            champion=self.answers("old", champion, old_rows, holdout),
            labels=self.labels[holdout],
            names=[*"abcde"],
            hashes=self.hashes[holdout],
        )
        return decide(evidence, PARAMS)


def verdicts(champion: float, challenger: float, *, redrawn: bool) -> dict[str, int]:
    counts = dict.fromkeys(("accepted", "refused", "undecided"), 0)
    for seed in range(GROWTHS):
        growth = Growth(np.random.default_rng(seed), redrawn)
        counts[growth.decide(champion, challenger).verdict] += 1
    print(f"{champion} against {challenger}, redrawn {redrawn}: {counts}")
    return counts


def test_rows_stay_where_they_are() -> None:
    growth = Growth(np.random.default_rng(0), redrawn=False)
    moved = np.isin(growth.rows(PICTURES).seen, growth.rows(GROWN).holdout)
    assert moved.sum() == 0


def test_worse_rival_seldom_wins() -> None:
    counts = verdicts(0.85, 0.75, redrawn=False)
    assert counts["undecided"] == 0
    assert counts["accepted"] <= 0.05 * GROWTHS


def test_text_says_which_loss_so_few_rows_miss() -> None:
    """Of parts that are drawn anew, some 120 rows are left: a large loss may be chance."""
    decisions = [Growth(np.random.default_rng(seed), True).decide(0.85, 0.75) for seed in range(50)]
    texts = [check.found for decision in decisions for check in decision.checks]
    losses = [
        float(words[1]) for text in texts if (words := re.search(r"a loss of (.+) points is", text))
    ]
    assert 8 < np.median(losses) < 14
    loss = float(np.median(losses)) / 100
    counts = verdicts(0.85, 0.85 - loss, redrawn=True)
    decided = GROWTHS - counts["undecided"]
    assert 0.1 < counts["accepted"] / decided < 0.3


@pytest.mark.parametrize("redrawn", [False, True])
def test_equal_rival_is_seldom_refused(redrawn: bool) -> None:
    """Where parts are drawn anew, about 120 rows are unseen by both, and sometimes under 100."""
    counts = verdicts(0.8, 0.8, redrawn=redrawn)
    assert (counts["undecided"] > 0) == redrawn
    decided = GROWTHS - counts["undecided"]
    assert binomtest(counts["refused"], decided).proportion_ci().low <= 0.05
