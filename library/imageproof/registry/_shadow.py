"""The gate's evidence from service: a challenger that a package asked beside the champion."""

from collections.abc import Mapping

from mlflow import MlflowClient

from imageproof.judge._comparison import SIGNIFICANCE, mcnemar_exact
from imageproof.judge._verdicts import p_text
from imageproof.judge.gate import Check
from imageproof.judge.limits import ShadowParams
from imageproof.mlflow._runs import find, tag
from imageproof.project import Project

# metrics of a run of `monitor`
ROWS = "shadow_random_rows"
ONLY_CHALLENGER = "shadow_only_challenger"
ONLY_CHAMPION = "shadow_only_champion"
RUN = "shadow_run"  # a param: the run that trained the challenger


def shadow_counts(
    run_id: str,
    champion: str,
    project: Project,
) -> dict[str, int]:
    """What `monitor` counted last of this run's model beside the champion; empty if it never did.

    These are labelled rows that were drawn at random.
    """
    experiment = MlflowClient().get_experiment_by_name(project.part("monitoring"))
    if not experiment:
        return {}
    uri = f"models:/{project.name}/{champion}"
    text = f"params.{RUN} = '{run_id}' and tags.`{tag('answered_by')}` = '{uri}'"
    text += f" and metrics.{ROWS} > 0"
    runs = find(text, experiment.experiment_id)
    names = (ROWS, ONLY_CHALLENGER, ONLY_CHAMPION)
    return {name: int(runs[0].data.metrics[name]) for name in names} if runs else {}


def shadow(counts: Mapping[str, int], limit: ShadowParams) -> Check:
    """Judge by what `shadow_counts` returns."""
    rows = counts.get(ROWS, 0)
    gained = counts.get(ONLY_CHALLENGER, 0)
    lost = counts.get(ONLY_CHAMPION, 0)
    p_value = mcnemar_exact(gained, lost, alternative="less")
    is_sound = p_value >= SIGNIFICANCE
    is_enough = rows >= limit.min_rows
    text = f"{rows:,} rows of service: only it is right on {gained}, only the champion on {lost}"
    allowed = f"at least {limit.min_rows:,} random labelled rows, p at least {SIGNIFICANCE:g}"
    figures = {**counts, "shadow_worse_p_value": p_value}
    return Check(
        "shadow",
        is_enough and is_sound,
        f"{text}; worse with {p_text(p_value)}",
        allowed,
        figures,
        undecided=is_sound and not is_enough,
    )
