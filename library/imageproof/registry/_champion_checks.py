"""The gate's checks against the champion and all champions before it, named as in params.yaml."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from imageproof.base._class_names import class_numbers
from imageproof.base.errors import AnswersError
from imageproof.judge._slices import find_slices, slice_loss
from imageproof.judge._verdicts import change_beside
from imageproof.judge.gate import Check, Contender, Evidence, Paired, Rule, unpaired
from imageproof.registry._absolute_checks import share, tested, worse

ROUNDING = 1e-9  # of a difference of shares: one that is as large as the limit is allowed


def max_share_loss(figure: str, evidence: Evidence, limit: float) -> Check:
    key = f"max_{figure}_loss"
    champion = evidence.champion
    if champion is None or champion.finding:
        return unpaired(key, champion)
    former = share(figure, champion, evidence)
    value = share(figure, evidence.challenger, evidence)
    change = value - former
    text = f"{value:.4f} against {former:.4f}: {change_beside(change, limit)}"
    figures = {f"champion_{figure}": former, f"{figure}_change": change}
    return Check(key, -change <= limit + ROUNDING, text, f"a loss of at most {limit:g}", figures)


def paired_test(evidence: Evidence, level: float) -> Check:
    champion_hits = evidence.champion_hits
    if champion_hits is None:
        return unpaired("paired_test", evidence.champion)
    hits = evidence.hits
    only_challenger = int((hits & ~champion_hits).sum())
    only_champion = int((champion_hits & ~hits).sum())
    counts = f"only it is right on {only_challenger} rows, only the champion on {only_champion}"
    p_value, words = worse(evidence, champion_hits, level)
    figures = {
        "only_challenger": only_challenger,
        "only_champion": only_champion,
        "worse_p_value": p_value,
    }
    return tested("paired_test", p_value, level, f"{counts}; {words}", figures)


def max_slice_loss(evidence: Evidence, limit: float) -> Check:
    slices = {} if evidence.metadata is None else find_slices(evidence.metadata)[0]
    if not slices:
        return Check("max_slice_loss", True, "no column of metadata that makes slices")
    if evidence.champion_hits is None:
        return unpaired("max_slice_loss", evidence.champion)
    hits = evidence.champion_hits, evidence.hits
    return Check("max_slice_loss", *slice_loss(slices, *hits, limit, evidence.groups))


def max_sensitivity_loss(evidence: Evidence, limit: float) -> Check:
    """The largest loss of sensitivity in any class, against any champion, the present one too."""
    pairs = _history(evidence)
    if not pairs or (evidence.champion and evidence.champion.finding):
        return unpaired("max_sensitivity_loss", evidence.champion, evidence.left_out)
    with np.errstate(invalid="ignore"):  # a class without rows
        losses = np.array([(p.former_hits - p.hits) / p.rows for p in pairs.values()])
    worst, label = map(int, np.unravel_index(np.nanargmax(losses), losses.shape))
    version, pair = [*pairs.items()][worst]
    loss = float(losses[worst, label])
    sensitivity = pair.hits[label] / pair.rows[label]
    former = pair.former_hits[label] / pair.rows[label]
    text = f"{sensitivity:.4f} against {former:.4f} of {Contender(version).title}"
    text += f": {change_beside(-loss, limit)} in class {evidence.names[label]}{evidence.left_out}"
    allowed = f"a loss of at most {limit:g} in any class, against the best so far in it"
    figures = {"worst_class": label, "worst_class_sensitivity_change": -loss}
    return Check("max_sensitivity_loss", loss <= limit, text, allowed, figures)


def max_total_loss(evidence: Evidence, limit: float) -> Check:
    """No worse than the best champion so far: small losses must not add up."""
    pairs = _history(evidence)
    if not pairs:
        return unpaired("max_total_loss", None, evidence.left_out)
    shares = {}
    for version, pair in pairs.items():
        rows = pair.rows.sum()
        shares[version] = pair.hits.sum() / rows, pair.former_hits.sum() / rows
    version = max(shares, key=lambda version: shares[version][1] - shares[version][0])
    value, best = map(float, shares[version])
    text = f"{value:.4f} against {best:.4f} of version {version}, the best so far"
    text += f": {change_beside(value - best, limit)}"
    figures = {"best_accuracy": best}
    text += evidence.left_out
    allowed = f"a loss of at most {limit:g}"
    return Check("max_total_loss", best - value <= limit + ROUNDING, text, allowed, figures)


def _history(evidence: Evidence) -> Mapping[str, Paired]:
    """The challenger beside each champion that can answer, by version, the present one last."""
    pairs = dict(evidence.former)
    if evidence.champion and evidence.champion_hits is not None:
        champion_hits = evidence.by_class(evidence.champion_hits)
        pairs[evidence.champion.name] = evidence.paired(champion_hits)
    return pairs


def column_of_each_class(champion_names: list[str], names: Sequence[str]) -> list[int]:
    """For each class of this project, its column in the other model's output.

    Matched by name; by position if either has numbers for names. AnswersError for other names,
    whose order nobody knows, or if one has more classes.
    """
    if len(champion_names) != len(names):
        raise AnswersError(f"it has {len(champion_names)} classes, this project {len(names)}")
    if {*champion_names} == {*names}:
        return [champion_names.index(name) for name in names]
    if class_numbers(len(names)) not in (champion_names, names):
        raise AnswersError("its classes are called otherwise")
    return [*range(len(names))]


CHAMPION_CHECKS: Mapping[str, Rule] = {
    "paired_test": paired_test,
    "max_accuracy_loss": partial(max_share_loss, "accuracy"),
    "max_balanced_accuracy_loss": partial(max_share_loss, "balanced_accuracy"),
    "max_macro_f1_loss": partial(max_share_loss, "macro_f1"),
    "max_slice_loss": max_slice_loss,
    "max_sensitivity_loss": max_sensitivity_loss,
    "max_total_loss": max_total_loss,
}
