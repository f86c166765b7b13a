"""Run by test_promotion in a process of its own: promotions in children that may be killed.

The children are forked after the imports, which take seconds.

race RUN…      promotes every run in a process of its own, all at once; `rollback` rolls back
kill RUN       promotes the run in copies `1`, `2`, … of the current folder, killing the process
               before its first commit, its second, …, until one lives to its end
"""

import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

from arena import NAME, accept, enter
from sqlalchemy import event
from sqlalchemy.engine import Engine

from digits.registry import promotion
from digits.registry.versions import trained_run
from digits.tracking import store


def forked(work: Callable[..., None], *arguments: Any) -> int:
    """Do the work in a child; returns its process id."""
    child = os.fork()
    if child:
        return child
    try:
        work(*arguments)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def ended(child: int) -> int:
    """Wait for the child; its exit code, negative where a signal ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def promote(run: str) -> None:
    """Promote the run in the current folder's store."""
    store.connect()
    promotion.promote(trained_run(run), NAME, judge=accept)


def roll_back() -> None:
    """Make the former champion of the current folder's store champion again."""
    store.connect()
    promotion.rollback(NAME)


def promote_until(run: str, folder: Path, at: int) -> None:
    """Promote the run in a folder's store; be killed before the commit `at` that changes it."""
    left, writes = at, False

    def on_statement(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        nonlocal writes
        writes |= statement.startswith(("INSERT", "UPDATE", "DELETE"))

    def on_commit(_connection: Any) -> None:
        nonlocal left, writes
        left, writes = left - writes, False
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    enter(folder)
    event.listen(Engine, "before_cursor_execute", on_statement)
    event.listen(Engine, "commit", on_commit)
    promotion.promote(trained_run(run), NAME, judge=accept)


def copies() -> Iterator[tuple[int, Path]]:
    """Copies `1`, `2`, … of the current folder."""
    start = sorted(Path.cwd().iterdir())
    for number in count(1):
        folder = Path(str(number))
        folder.mkdir()
        for entry in start:
            copy = shutil.copytree if entry.is_dir() else shutil.copy
            copy(entry, folder / entry.name)
        yield number, folder


def race(runs: list[str]) -> None:
    """See above."""
    children = [forked(roll_back) if run == "rollback" else forked(promote, run) for run in runs]
    if codes := [code for code in map(ended, children) if code]:
        sys.exit(f"ended with {codes}")


def kill(run: str) -> None:
    """See above."""
    for number, folder in copies():
        code = ended(forked(promote_until, run, folder, number))
        if code == 0:
            break
        if code != -signal.SIGKILL:
            sys.exit(f"ended with {code}")


if __name__ == "__main__":
    {"race": lambda *runs: race([*runs]), "kill": kill}[sys.argv[1]](*sys.argv[2:])
