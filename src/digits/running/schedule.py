"""Which stages of the pipeline run, and which of them may run side by side."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import psutil

from digits.core import machine
from digits.core.pipeline import Stage


def may_change(pipeline: Sequence[Stage]) -> list[Stage]:
    """The stages that changed, and those that depend on one of them; upstream first, as given."""
    found: dict[str, Stage] = {}
    for stage in pipeline:
        if stage.changed or not found.keys().isdisjoint(stage.upstream):
            found[stage.name] = stage
    return list(found.values())


class Schedule(NamedTuple):
    """The stages to run, upstream first, and the cores for them.

    A stage with `train.threads` threads needs `threads` cores, others one. A timed stage shares no
    core: logical processors of one core would slow each other.
    """

    stages: Sequence[Stage]
    threads: int
    cores: int = min(psutil.cpu_count(logical=False) or 1, machine.processors())
    processors: int = machine.processors()

    def startable(self, running: Collection[str], done: Collection[str]) -> list[str]:
        """The names of the stages that may start beside the running ones; timed ones come first.

        `done` are the stages of this run that have ended well.
        """
        names = {stage.name for stage in self.stages}
        together = [stage for stage in self.stages if stage.name in running]
        chosen: list[str] = []
        for stage in sorted(self.stages, key=lambda stage: not stage.timed):
            waits = stage.name not in {*running, *done}
            ready = waits and names.intersection(stage.upstream) <= {*done}
            if ready and self._fits([*together, stage]):
                together.append(stage)
                chosen.append(stage.name)
        return chosen

    def _fits(self, together: Sequence[Stage]) -> bool:
        if any(stage.timed for stage in together) and len(together) > 1:
            return sum(self.threads if stage.threaded else 1 for stage in together) <= self.cores
        return len(together) <= self.processors
