"""A flow run's stages, each submitted when what it depends on is done and cores are free."""

import concurrent.futures
from collections.abc import Callable, Sequence
from typing import Any

from filelock import FileLock
from prefect.client.schemas.objects import State
from prefect.futures import PrefectConcurrentFuture

from digits.core.slots import Slots
from flows.support.pipeline import Stage

Future = PrefectConcurrentFuture[Any]
Submit = Callable[[Stage, Sequence[Future]], Future]

POLL_S = 0.2


class Schedule:
    """Submits the stages of a graph in its order, and those that need a slot when there is one."""

    def __init__(
        self,
        stages: Sequence[Stage],
        submit: Submit,
        *,
        needs_slot: Callable[[Stage], bool],
        slots: Slots,
        at_once: int,
    ) -> None:
        self._pending = {stage.name: stage for stage in stages}
        self._submit = submit
        self._needs_slot = needs_slot
        self._slots = slots
        self._at_once = at_once
        self._held: dict[str, FileLock] = {}
        self._futures: dict[str, Future] = {}
        self._names = set(self._pending)

    def run(self) -> dict[str, State[Any]]:
        """Run all; each stage's last state, which is NotReady below a failed one."""
        while self._pending or self._running():
            for stage in list(self._pending.values()):
                self._start_if_ready(stage)
            self._wait()
        for future in self._futures.values():
            future.wait()  # else `state` asks the server, which learns of it a little later
        return {name: future.state for name, future in self._futures.items()}

    def close(self) -> None:
        """Give back the slots of what was interrupted."""
        while self._held:
            self._held.popitem()[1].release()

    def _running(self) -> list[str]:
        return [name for name, future in self._futures.items() if not _done(future)]

    def _start_if_ready(self, stage: Stage) -> None:
        names = self._names.intersection(stage.upstream)
        upstream = [self._futures[name] for name in names if name in self._futures]
        if len(upstream) < len(names) or not all(map(_done, upstream)):
            return
        if len(self._running()) < self._at_once and self._has_slot(stage):
            self._futures[stage.name] = self._submit(self._pending.pop(stage.name), upstream)

    def _has_slot(self, stage: Stage) -> bool:
        if not self._needs_slot(stage):
            return True
        slot = self._slots.take()
        if slot is not None:
            self._held[stage.name] = slot
        return slot is not None

    def _wait(self) -> None:
        running = [self._futures[name].wrapped_future for name in self._running()]
        concurrent.futures.wait(
            running, timeout=POLL_S, return_when=concurrent.futures.FIRST_COMPLETED
        )
        for name in [name for name in self._held if _done(self._futures[name])]:
            self._held.pop(name).release()


def _done(future: Future) -> bool:
    return future.wrapped_future.done()
