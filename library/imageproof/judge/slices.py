"""Slices: the rows that share a value of a metadata column, and how well a model does in each."""

from collections.abc import Mapping
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd
from scipy.stats import binom

from imageproof.base.dataset import Hits, Rows
from imageproof.base.text import cut
from imageproof.judge.groups import Intervals, sign_flips

MIN_ROWS = 10  # of a slice
MAX_SLICES = 1000
SHOWN = 20  # in a page
LEVEL = 0.05  # at most this chance that a model is refused that is worse in no slice
COLUMNS = {"column": str, "value": str, "rows": int}
COLUMNS |= dict.fromkeys(("accuracy", "lower", "upper"), float)

Slices = Mapping[tuple[str, str], Rows]  # rows by column and value


def find_slices(metadata: pd.DataFrame) -> tuple[Slices, list[str]]:
    """The slices of at least MIN_ROWS rows, and a line for each column that makes none.

    `metadata` has a row of texts per image; an empty one is no value. A column whose slices hold
    less than half of its values has numbers, times or names rather than categories.
    """
    slices: dict[tuple[str, str], Rows] = {}
    left_out = []
    for column in map(str, metadata):
        found = metadata.groupby(column).indices.items()
        values = {(column, str(value)): np.asarray(own) for value, own in found if value}
        large = {name: own for name, own in values.items() if len(own) >= MIN_ROWS}
        why = ""
        if not large or 2 * sum(map(len, large.values())) < sum(map(len, values.values())):
            why = f"{len(large):,} of its {len(values):,} values have {MIN_ROWS} rows"
        elif len(slices) + len(large) > MAX_SLICES:
            why = f"there would be over {MAX_SLICES:,}"
        if why:
            left_out.append(f"column {_named(column)}: no slices, as {why}")
        else:
            slices |= large
    return slices, left_out


def measure(slices: Slices, hits: Hits, groups: Rows | None = None) -> pd.DataFrame:
    """Per slice `column`, `value`, `rows`, `accuracy`, and its 95 % interval `lower` and `upper`
    (see `Intervals`; nan of a single group); the surest to be weak first, by `upper`."""
    found = []
    intervals = Intervals(hits, groups)
    for name, own in slices.items():
        single = groups is not None and np.ptp(groups[own]) == 0
        interval = (np.nan, np.nan) if single else intervals.of(own)
        found.append((*name, len(own), hits[own].mean(), *interval))
    return pd.DataFrame(found, columns=[*COLUMNS]).sort_values(["upper", "column", "value"])


def read_table(file: Path | IO[str]) -> pd.DataFrame:
    """What `measure` found, written as CSV, with the column `split`; a ValueError if it is not."""
    columns = COLUMNS | {"split": str}
    empty = {"lower": "", "upper": ""}
    return pd.read_csv(
        file, dtype=columns, usecols=[*columns], keep_default_na=False, na_values=empty
    )


def weakest(table: pd.DataFrame, split: str) -> tuple[list[list[str]], int]:
    """The first SHOWN slices of a split as texts, and how many there are.

    Each is the slice, its rows, the accuracy and its interval.
    """
    own = table[table["split"] == split]
    texts = [
        [
            _named(column, value),
            f"{rows:,}",
            f"{accuracy:.4f}",
            "one group only" if np.isnan(low) else f"{low:.4f} to {high:.4f}",
        ]
        for column, value, rows, accuracy, low, high in own[[*COLUMNS]].head(SHOWN).values.tolist()
    ]
    return texts, len(own)


def slice_loss(
    slices: Slices, before: Hits, now: Hits, limit: float, groups: Rows | None = None
) -> tuple[bool, str, str, dict[str, float]]:
    """Whether a model passes in all slices against the champion (`before`), as fields of `Check`.

    It fails if it loses more than `limit` in a slice, and McNemar's exact test, one-sided, says
    that this is no chance: p at most LEVEL / k. By Tarone (1990, doi:10.2307/2531456) k counts
    only slices in which so many answers differ that p could be that small. So a model that is worse
    in no slice fails with a chance of at most LEVEL, however many slices there are. With groups the
    test is `sign_flips`, of slices in which enough groups differ.
    """
    gained, lost = (
        np.array([np.count_nonzero(only[own]) for own in slices.values()])
        for only in (now & ~before, before & ~now)
    )
    losses = (lost - gained) / [len(own) for own in slices.values()]
    p_values, differing = binom.cdf(gained, gained + lost, 0.5), gained + lost
    if groups is not None:
        change = now.astype(int) - before
        flips = [
            sign_flips(change[own], groups[own], alternative="less") for own in slices.values()
        ]
        tests = [(1.0, 0) if p is None else (p, n) for p, n in flips]
        p_values, differing = np.array(tests).T
    least = 0.5**differing
    tested = next(k for k in range(1, len(losses) + 1) if (least <= LEVEL / k).sum() <= k)
    refused = (losses > limit + 1e-9) & (p_values <= LEVEL / tested)
    worst = int(np.lexsort((losses, refused))[-1])
    name, own = [*slices.items()][worst]
    shares = f"{now[own].mean():.4f} against {before[own].mean():.4f} on {len(own):,} rows"
    found = f"{_named(*name)}: {shares}; worse with p = {p_values[worst]:.3g}"
    level = f"{LEVEL / tested:.3g} ({LEVEL:g} for {tested} of {len(slices):,} slices)"
    allowed = f"a loss of at most {limit:g} in each slice, or p above {level}"
    figures = {"worst_slice_change": -losses[worst], "worst_slice_p_value": p_values[worst]}
    return not refused.any(), found, allowed, {k: float(v) for k, v in figures.items()}


def _named(*texts: object) -> str:
    """Texts of a person's on one line, and not long."""
    return ": ".join(cut(text, 60) for text in texts)
