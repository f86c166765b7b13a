"""What a challenger answered that was asked beside the champion, and who of the two was right."""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from imageproof.answer._logged import RANDOM, SHADOW, Log, open_log, read_log, read_shadow
from imageproof.base._dataset import Images
from imageproof.judge._comparison import Candidate, compare_pair
from imageproof.judge._verdicts import as_dict
from imageproof.registry._shadow import ONLY_CHALLENGER, ONLY_CHAMPION, ROWS
from imageproof.registry._version import Version

SHOWN = 24  # images that are answered differently


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowResult:
    model: str
    rows: int  # that the challenger was asked for, without those that wait
    failed: int  # of `rows`, without probabilities: it died, or gave NaN; such an answer is wrong
    different: int  # of `rows`, failed or with another class than the champion's
    waiting: int  # further rows, without an answer yet, or left out when their service ended
    labelled: dict[str, Any] | None  # the `Pair` on the labelled rows
    is_random: bool  # whether the labelled rows were drawn at random


def compare_shadow(
    source: Path,
    log: Log,
    answers: pd.DataFrame,
    labels: pd.DataFrame | None,
    model: Version,
) -> tuple[ShadowResult | None, list[Images]]:
    """The result, and images with two answers; None if no challenger was asked in these days.

    `answers` of `model` and `labels` have microseconds as index. Labels with a column RANDOM are
    of rows that were drawn at random.
    """
    shadow_log = None
    if answers[SHADOW].any():
        shadow_log = open_log(source, days=log.days + 1, shadow=True)
    if not shadow_log:
        return None, []
    table = read_shadow(shadow_log)
    asked = _asked(answers, table, shadow_log.model)
    # the challenger of a server answers in order, and may be slow: later rows have no answer yet
    newest = table.index.to_series().groupby(table["server"]).max()
    is_due = asked.index <= asked["server"].map(newest)
    is_left_out = asked.index.isin(table.index[~table[SHADOW]])
    rows = asked.loc[is_due & ~is_left_out, ["predicted", "challenger"]]
    if rows.empty:
        return None, []
    different = rows.index[rows["predicted"] != rows["challenger"]]
    is_random = labels is not None and RANDOM in labels
    pair = None
    if labels is not None:
        labelled = rows.assign(label=labels["label"]).dropna()
        pair = _compare(labelled, model.origin.uri, shadow_log.model) if len(labelled) else None
    result = ShadowResult(
        model=shadow_log.model,
        rows=len(rows),
        waiting=len(asked) - len(rows),
        failed=int((rows["challenger"] == -1).sum()),
        different=len(different),
        labelled=pair,
        is_random=is_random,
    )
    batches = read_log(log, model) if len(different) else []
    images = (
        image for batch in batches for image in batch.images[batch.answers.index.isin(different)]
    )
    return result, [*islice(images, SHOWN)]


def _asked(
    answers: pd.DataFrame,
    table: pd.DataFrame,
    challenger: str,
) -> pd.DataFrame:
    """The `answers` to rows that this challenger was asked for, with its own as `challenger`.

    `table` is of `read_shadow`; a row without an answer in it gets -1.
    """
    is_challengers = table["model"] == challenger
    predicted = table.loc[is_challengers, "predicted"]
    last_other = table.index[~is_challengers].to_numpy().max(initial=0)
    # a row until then that has no answer may have been for another challenger
    is_asked = answers.index.isin(predicted.index) | (answers.index > last_other)
    rows: pd.DataFrame = answers[answers[SHADOW] & is_asked]
    return rows.assign(challenger=predicted.reindex(rows.index, fill_value=-1))


def _compare(
    labelled: pd.DataFrame,
    champion: str,
    challenger: str,
) -> dict[str, Any]:
    predicted, challenged, truth = labelled.to_numpy(np.int64).T
    a = Candidate(champion, predicted, None)
    b = Candidate(challenger, challenged, None)
    return as_dict(compare_pair(a, b, truth))


def shadow_figures(result: ShadowResult) -> dict[str, float]:
    """The metrics of a run; the gate takes those of random rows as evidence."""
    figures: dict[str, float] = {
        "shadow_rows": result.rows,
        "shadow_different": result.different,
        "shadow_failed": result.failed,
    }
    if result.labelled and result.is_random:
        pair = result.labelled
        keys = ["other_right", "better_right"]
        if pair["other"] == result.model:
            keys.reverse()
        figures[ROWS] = pair["rows"]
        figures[ONLY_CHAMPION], figures[ONLY_CHALLENGER] = (len(pair[key]) for key in keys)
    return figures


def shadow_verdicts(result: ShadowResult) -> list[str]:
    share = 100 * result.different / result.rows
    lines = [
        f"{result.model} was asked for {result.rows:,} rows, too, "
        f"and answers {result.different:,} otherwise ({share:.2f} %)."
    ]
    if result.failed:
        lines.append(f"It gave no answer to {result.failed:,} of them, which count as wrong.")
    if result.waiting:
        lines.append(f"{result.waiting:,} rows more wait for it, or were left out: none counts.")
    if result.labelled:
        rows = f"{result.labelled['rows']:,}{' random' if result.is_random else ''}"
        lines.append(f"On {rows} labelled rows: {result.labelled['verdict']}.")
    return lines
