"""What a challenger answered that was asked beside the champion, and who of the two was right."""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

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
    rows: int  # that the challenger answered
    failed: int  # of `rows`, without probabilities, such as NaN; such an answer is wrong
    different: int  # of `rows`, failed or with another class than the champion's
    waiting: int  # further rows that it was asked for: no answer yet, or none that was written
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
    asked = answers.loc[answers[SHADOW], ["predicted"]]
    shadow_log = None if asked.empty else open_log(source, days=log.days + 1, shadow=True)
    if not shadow_log:
        return None, []
    table = read_shadow(shadow_log)
    answered = asked.join(table.add_prefix("challenger_"), how="inner")
    if answered.empty:
        return None, []
    challenger = answered.loc[answered.index.max(), "challenger_model"]
    is_challengers = answered["challenger_model"] == challenger
    rows = answered[is_challengers]
    # a row until then that has no answer may have been for another challenger
    last_other = answered.index[~is_challengers].to_numpy().max(initial=0)
    waiting = asked.index[asked.index > last_other].difference(rows.index)
    different = rows.index[rows["predicted"] != rows["challenger_predicted"]]
    is_random = labels is not None and RANDOM in labels
    pair = None
    if labels is not None:
        pair = _compare(rows.assign(label=labels["label"]).dropna(), model.origin.uri, challenger)
    result = ShadowResult(
        model=challenger,
        rows=len(rows),
        waiting=len(waiting),
        failed=int((rows["challenger_predicted"] == -1).sum()),
        different=len(different),
        labelled=pair,
        is_random=is_random,
    )
    batches = read_log(log, model) if len(different) else []
    images = (
        image for batch in batches for image in batch.images[batch.answers.index.isin(different)]
    )
    return result, [*islice(images, SHOWN)]


def _compare(
    labelled: pd.DataFrame,
    champion: str,
    challenger: str,
) -> dict[str, Any] | None:
    if labelled.empty:
        return None
    a = Candidate(champion, labelled["predicted"].to_numpy(), None)
    b = Candidate(challenger, labelled["challenger_predicted"].to_numpy(), None)
    return as_dict(compare_pair(a, b, labelled["label"].to_numpy()))


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
        failed = f"It gave no probabilities for {result.failed:,} of them"
        lines.append(f"{failed}, which count as wrong.")
    if result.waiting:
        waiting = f"{result.waiting:,} rows more wait for it, or have no answer in its log"
        lines.append(f"{waiting}: none counts.")
    if result.labelled:
        rows = f"{result.labelled['rows']:,}{' random' if result.is_random else ''}"
        lines.append(f"On {rows} labelled rows: {result.labelled['verdict']}.")
    return lines
