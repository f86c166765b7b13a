"""Which stages run, and which of them side by side."""

import pytest

from imageproof.dvc._pipeline import Stage
from imageproof.dvc._run import Schedule, stale_stages


def stage(name, *upstream, changed=True):
    trains = name.startswith("train") or name == "compare"
    return Stage(name, upstream, changed, threaded=trains or name[:4] == "eval", timed=trains)


STAGES = [
    stage("validate", "data.dvc"),
    stage("explore", "data.dvc"),
    stage("split", "validate"),
    stage("train@a", "split"),
    stage("train@b", "split"),
    stage("evaluate@a", "train@a"),
    stage("evaluate@b", "train@b"),
    stage("compare", "evaluate@a", "evaluate@b"),
]


@pytest.mark.parametrize(
    ("cores", "running", "done", "starts"),
    [
        (2, "", "", "validate explore"),
        (2, "explore", "validate split", ""),  # a training shares its cores with nothing
        (2, "", "validate explore split", "train@a"),
        (4, "explore", "validate split", "train@a"),
        (2, "", "validate explore split train@a", "train@b"),  # before evaluate@a
        (4, "train@b", "validate explore split train@a", "evaluate@a"),
        (3, "train@b", "validate explore split train@a", ""),  # which has two threads, too
    ],
)
def test_startable_stages(monkeypatch, cores, running, done, starts):
    monkeypatch.setattr(Schedule, "cores", cores)
    monkeypatch.setattr(Schedule, "processors", cores)
    waiting = [s for s in STAGES if s.name not in [*running.split(), *done.split()]]
    together = [s for s in STAGES if s.name in running.split()]
    started = Schedule(threads=2).startable(waiting, together)
    assert [s.name for s in started] == starts.split()


def test_stale_stages_follows_dependencies():
    stages = [
        stage("validate", changed=False),
        stage("explore"),
        stage("split", "validate", changed=False),
        stage("report", "explore", changed=False),
    ]
    assert [s.name for s in stale_stages(stages)] == ["explore", "report"]
