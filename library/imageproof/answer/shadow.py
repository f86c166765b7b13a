"""What a challenger answered that was asked beside the champion, and who of the two was right."""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from imageproof.answer.logged import RANDOM, SHADOW, Log, read_log, read_shadow
from imageproof.base.dataset import Images
from imageproof.judge.comparison import Candidate, compare_pair
from imageproof.judge.verdicts import as_dict
from imageproof.registry.shadow import ONLY_CHALLENGER, ONLY_CHAMPION, ROWS
from imageproof.registry.version import Version

SHOWN = 24  # images that are answered differently


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowResult:
    model: str
    rows: int  # that the challenger was asked for
    failed: int  # of these, without probabilities: it died, or gave NaN; such an answer is wrong
    different: int  # of these, with another class than the champion's, or failed
    labelled: dict[str, Any] | None  # the `Pair` on the labelled rows
    is_random: bool  # whether these were drawn at random


def compare_shadow(
    source: Path,
    log: Log | None,
    answers: pd.DataFrame,
    labels: pd.DataFrame | None,
    model: Version,
) -> tuple[ShadowResult | None, list[Images]]:
    """The result, and images with two answers; None if no challenger was asked in these days.

    `answers` are those of `model` by key; of labels that say so, only random rows are compared.
    """
    asked = answers.loc[answers.get(SHADOW, []), "predicted"]
    logged = read_shadow(source, log.days, model.files.classes) if log and len(asked) else None
    if not log or logged is None:
        return None, []
    rival = logged.reindex(asked.index, fill_value=-1)
    is_different = rival != asked
    is_random = labels is not None and RANDOM in labels
    pair = None
    if labels is not None:
        rows = labels[labels[RANDOM]] if is_random else labels
        truth = rows["label"].reindex(asked.index).dropna()
        a = Candidate(model.origin.uri, np.asarray(asked[truth.index], np.int64), None)
        b = Candidate(str(logged.name), np.asarray(rival[truth.index], np.int64), None)
        if len(truth):
            pair = as_dict(compare_pair(a, b, truth.to_numpy(np.int64)))
    result = ShadowResult(
        model=str(logged.name),
        rows=len(asked),
        failed=int((rival == -1).sum()),
        different=int(is_different.sum()),
        labelled=pair,
        is_random=is_random,
    )
    keys = asked.index[is_different]
    batches = read_log(log, model) if len(keys) else []
    images = (image for batch in batches for image in batch.images[batch.answers.index.isin(keys)])
    return result, [*islice(images, SHOWN)]


def shadow_figures(result: ShadowResult) -> dict[str, float]:
    """The metrics of a run; the gate takes those of random rows as evidence."""
    figures: dict[str, float] = {
        "shadow_rows": result.rows,
        "shadow_different": result.different,
        "shadow_failed": result.failed,
    }
    if result.labelled and result.is_random:
        pair = result.labelled
        is_better = pair["better"] == result.model
        right = [len(pair[name]) for name in ("other_right", "better_right")]
        figures[ROWS] = pair["rows"]
        figures[ONLY_CHALLENGER] = right[is_better]
        figures[ONLY_CHAMPION] = right[not is_better]
    return figures


def shadow_verdicts(result: ShadowResult) -> list[str]:
    share = 100 * result.different / result.rows
    line = f"{result.model} was asked for {result.rows:,} rows, too"
    lines = [f"{line}, and answers {result.different:,} otherwise ({share:.2f} %)."]
    if result.failed:
        lines.append(f"It gave no answer to {result.failed:,} of them, which count as wrong.")
    if result.labelled:
        rows = f"{result.labelled['rows']:,}{' random' if result.is_random else ''}"
        lines.append(f"On {rows} labelled rows: {result.labelled['verdict']}.")
    return lines
