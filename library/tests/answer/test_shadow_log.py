"""What `imageproof monitor` says of a challenger that a package also asks."""

from pathlib import Path

import arena
import numpy as np
import pandas as pd
import pytest
from arena import accept, fighter
from example import NAME, project_with
from packaged import DESCRIPTION

from imageproof.answer import _monitor as monitoring
from imageproof.answer._shadow import shadow_figures
from imageproof.judge.gate import Decision
from imageproof.judge.limits import ShadowParams
from imageproof.registry import _promotion
from imageproof.registry._shadow import ONLY_CHALLENGER, ONLY_CHAMPION, ROWS, shadow, shadow_counts
from imageproof.serve._journal import Journal

LOG = Path("log")
CHALLENGER = f"models:/{NAME}/2"


def journal(folder, version, server=1):
    """That of a service of this version, as a package has it."""
    return Journal(folder, DESCRIPTION.model_copy(update={"version": version}), server)


@pytest.fixture
def times(holdout):
    """A log of 100 rows: the champion errs on 0…9, the challenger on 5…6 and gives NaN on 7.

    For 90…99 it was not asked. It answered all others but 8, which its log lost.
    """
    rows = np.arange(100)
    champion = np.eye(10, dtype=np.float32)[holdout.labels[:100]]
    challenger = champion.copy()
    champion[:10] = np.roll(champion[:10], 1, axis=1)
    challenger[5:7] = np.roll(challenger[5:7], 1, axis=1)
    challenger[7] = np.nan
    with journal(LOG, "1") as log:
        times = log.add(holdout.images[:100], champion, shadow=rows < 90)
    answered = (rows < 90) & (rows != 8)
    with journal(LOG / "shadow", "2") as log:
        log.keep(at=times[answered], probabilities=challenger[answered])
    return times


@pytest.fixture
def labels(times, holdout):
    """Writes the labels of the rows, with other columns."""

    def write(**columns):
        path = Path("labels.csv")
        table = pd.DataFrame({"at": times, "label": holdout.labels[:100], **columns})
        table.to_csv(path, index=False)
        return path

    return write


def test_rows_of_an_earlier_challenger_are_left_out(watch, times):
    [path] = (LOG / "shadow").rglob("*.parquet")
    table = pd.read_parquet(path)
    table["model"] = np.where(np.arange(len(table)) < 10, f"{NAME} 9", f"{NAME} 2")
    table.to_parquet(path)
    [path] = LOG.glob("[0-9]*/*.parquet")
    rows = pd.read_parquet(path)
    pd.concat([rows, rows[89:90].assign(server=2)]).to_parquet(path)  # whose time two rows have
    result = watch().result.shadow
    # it answered 0…7, 9 and 10
    assert (result.model, result.rows) == (CHALLENGER, 78)
    assert (result.failed, result.different) == (0, 0)


def test_rows_that_wait_are_no_wrong_answers(watch, times):
    """The service goes on after the row 50; rows 41…45 were left out when it ended before."""
    [path] = (LOG / "shadow").rglob("*.parquet")
    table = pd.read_parquet(path)
    table = table[~table["at"].between(*pd.to_datetime(times[[41, 45]], utc=True))]
    table[table["at"] <= pd.Timestamp(times[50], tz="UTC")].to_parquet(path)
    monitored = watch()
    result = monitored.result.shadow
    assert (result.rows, result.waiting, result.failed) == (45, 45, 1)
    line = "45 rows more wait for it, or have no answer in its log: none counts."
    assert line in monitoring.render(monitored)


def test_challenger_of_another_champion_is_left_out(watch, times, holdout):
    answers = np.eye(10, dtype=np.float32)[holdout.labels[:5]]
    with journal(LOG, "9", 2) as log:
        later = log.add(holdout.images[:5], answers, shadow=np.full(5, True))
    with journal(LOG / "shadow", "1", 2) as log:
        log.keep(at=later, probabilities=answers)
    result = watch().result.shadow
    assert (result.model, result.rows) == (CHALLENGER, 89)


def test_differences_are_counted_and_shown(watch, labels):
    monitored = watch(labels=labels())
    result = monitored.result.shadow
    # 0…4, 9: the champion errs alone; 5, 6: both err alike; 7: no probabilities
    assert (result.failed, result.different) == (1, 7)
    # the challenger alone is right on 0…4 and 9, nobody on 5…7
    figures = {"better": CHALLENGER, "rows": 89, "p_value": 1 / 32}
    assert result.labelled.items() >= figures.items()
    page = monitoring.render(monitored)
    assert page.count("with two answers") == 7
    assert f"{CHALLENGER} was asked for 89 rows, too, and answers 7 otherwise (7.87 %)." in page
    assert "On 89 labelled rows: models:/" in page


def test_champion_alone_is_right_where_the_challenger_is_worse(watch, labels, holdout):
    path = labels(label=(holdout.labels[:100] + 1) % 10, random=1)
    figures = shadow_figures(watch(labels=path).result.shadow)
    assert (figures[ONLY_CHALLENGER], figures[ONLY_CHAMPION]) == (0, 7)


def test_gate_takes_random_rows_as_evidence(watch, labels):
    project = project_with({})
    challenger = fighter()
    _promotion.promote(challenger, NAME, judge=accept)
    _promotion.rollback(NAME, reason="the first again")
    page = Path("page.html")
    page.touch()
    monitoring.log_run(watch(labels=labels()).result, page, project)
    assert shadow_counts(challenger.run_id, "1", project) == {}
    monitoring.log_run(watch(labels=labels(random=np.arange(100) % 2 == 1)).result, page, project)
    counts = shadow_counts(challenger.run_id, "1", project)
    assert counts == {ROWS: 45, ONLY_CHALLENGER: 3, ONLY_CHAMPION: 0}
    assert shadow_counts(challenger.run_id, "3", project) == {}
    outcome = arena.promote(challenger, arena.gate({"promote.shadow": {"min_rows": 45}}))
    text = "45 rows of service: only it is right on 3, only the champion on 0"
    assert arena.check_of(outcome, "shadow").found.startswith(text)


def test_gate_judges_random_rows():
    limit = ShadowParams(min_rows=100)
    for counts, verdict in (
        ({}, "undecided"),
        ({ROWS: 99, ONLY_CHALLENGER: 9}, "undecided"),
        ({ROWS: 99, ONLY_CHAMPION: 9}, "refused"),
        ({ROWS: 100, ONLY_CHALLENGER: 2, ONLY_CHAMPION: 3}, "accepted"),
        ({ROWS: 100, ONLY_CHALLENGER: 2, ONLY_CHAMPION: 20}, "refused"),
    ):
        assert Decision("2", "1", (shadow(counts, limit),)).verdict == verdict
