"""Slices: the rows that share a value of a metadata column, and how well a model does in each."""

from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from imageproof.base._dataset import Floats, Hits, Rows
from imageproof.base.text import cut
from imageproof.judge._comparison import paired_p_value
from imageproof.judge._groups import Intervals
from imageproof.judge._verdicts import change_beside, p_text

if TYPE_CHECKING:  # half a second, which `diff` and flows would wait
    import pandas as pd

MIN_ROWS = 10  # of a slice
LEVEL = 0.05  # at most this chance that a model is refused that is worse in no slice
COLUMNS = {"column": str, "value": str, "rows": int}
COLUMNS |= dict.fromkeys(("accuracy", "lower", "upper"), float)

Slices = Mapping[tuple[str, str], Rows]  # rows by column and value


def find_slices(metadata: "pd.DataFrame") -> tuple[Slices, list[str]]:
    """The slices of at least MIN_ROWS rows, and a line for each column whose values make none.

    `metadata` has a row of texts per image; an empty one is no value. A column whose slices hold
    less than half of its values has numbers, times or names rather than categories.
    """
    slices: dict[tuple[str, str], Rows] = {}
    left_out = []
    for column in map(str, metadata):
        groups = metadata.groupby(column).indices.items()
        values = {(column, str(value)): np.asarray(rows) for value, rows in groups if value}
        large = {name: rows for name, rows in values.items() if len(rows) >= MIN_ROWS}
        if 2 * sum(map(len, large.values())) < sum(map(len, values.values())):
            reason = f"{len(large):,} of its {len(values):,} values have at least {MIN_ROWS} rows"
            left_out.append(f"column {_label(column)}: no slices, as {reason}")
        else:
            slices |= large
    return slices, left_out


def measure(slices: Slices, hits: Hits, groups: Rows | None = None) -> "pd.DataFrame":
    """Per slice `column`, `value`, `rows`, `accuracy`, and its 95 % interval `lower` and `upper`
    (see `Intervals`; nan of a single group); the surest to be weak first, by `upper`."""
    from pandas import DataFrame

    table = []
    intervals = Intervals(hits, groups)
    for name, rows in slices.items():
        single = groups is not None and np.ptp(groups[rows]) == 0
        interval = (np.nan, np.nan) if single else intervals.of(rows)
        table.append((*name, len(rows), hits[rows].mean(), *interval))
    return DataFrame(table, columns=[*COLUMNS]).sort_values(["upper", "column", "value"])


def read_table(file: Path | IO[str]) -> "pd.DataFrame":
    """What `measure` found, written as CSV, with the column `split`; a ValueError if it is not."""
    from pandas import read_csv

    columns = COLUMNS | {"split": str}
    empty = {"lower": "", "upper": ""}
    return read_csv(file, dtype=columns, usecols=[*columns], keep_default_na=False, na_values=empty)


def slice_loss(
    slices: Slices,
    champion: Hits,
    challenger: Hits,
    limit: float,
    groups: Rows | None = None,
) -> tuple[bool, str, str, dict[str, float]]:
    """Whether the challenger passes in all slices against the champion: the fields of a `Check`.

    It fails if it loses more than `limit` in a slice, and McNemar's exact test, one-sided, says
    that this is no chance: p at most LEVEL / k. By Tarone (1990, doi:10.2307/2531456) k counts
    only slices in which so many answers differ that p could be that small. So a model that is worse
    in no slice fails with a chance of at most LEVEL, however many slices there are. With groups the
    test is that of `sign_flips`, and a slice in which too few groups differ never fails.
    """
    change = challenger.astype(int) - champion
    losses = np.array([-change[rows].mean() for rows in slices.values()])
    p_values, tested = _tests(change, slices, groups)
    level = LEVEL / tested
    refused = (losses > limit + 1e-9) & (p_values <= level)
    worst = int(np.lexsort((losses, refused))[-1])
    name, rows = [*slices.items()][worst]
    finding = f"{_label(*name)}: {challenger[rows].mean():.4f} against {champion[rows].mean():.4f}"
    finding += f": {change_beside(-losses[worst], limit)} on {len(rows):,} rows"
    finding += f"; worse with {p_text(p_values[worst], level)}"
    counted = f"({LEVEL:g} for {tested} of {len(slices):,} slices)"
    allowed = f"a loss of at most {limit:g} in each slice, or p above {level:.3g} {counted}"
    figures = {
        "worst_slice_change": float(-losses[worst]),
        "worst_slice_p_value": float(p_values[worst]),
    }
    return not refused.any(), finding, allowed, figures


def _tests(change: Rows, slices: Slices, groups: Rows | None) -> tuple[Floats, int]:
    """The one-sided p-value of each slice, and k: by how many Tarone's correction divides LEVEL."""
    tests: list[tuple[float, int]] = []
    for rows in slices.values():
        members = None if groups is None else groups[rows]
        p_value, differing = paired_p_value(change[rows], members, alternative="less")
        tests.append((1.0, 0) if p_value is None else (p_value, differing))
    smallest = [0.5**differing for _, differing in tests]  # if only the champion were right
    counts = range(1, len(tests) + 1)
    tested = next(k for k in counts if sum(p <= LEVEL / k for p in smallest) <= k)
    return np.array([p_value for p_value, _ in tests]), tested


def _label(*texts: object) -> str:
    """A slice by texts that a person wrote: on one line, and not long."""
    return ": ".join(cut(text, 60) for text in texts)
