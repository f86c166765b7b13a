"""Run by test_promotion in a process of its own: promotions in children that may be killed.

The children are forked after the imports, which take seconds.

race RUN…      promotes every run in a process of its own, all at once; `rollback` rolls back
kill RUN       promotes the run in copies `1`, `2`, … of the current folder, killing the process
               before its first commit, its second, …, until one lives to its end
stop RUN NEXT  as on a server: promotes RUN in such copies, stopping the process after
               its second commit, its sixth, …; promotes NEXT; lets the stopped one go on
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

from digits.core.errors import BusyError
from digits.registry import ledger, lock, promotion
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


def promote_until(run: str, folder: Path, at: int, how: signal.Signals) -> None:
    """Promote the run in a folder's store, and get a signal at a commit that changes it.

    To be killed it is before the commit. To be stopped it is before the next transaction, when
    this process does not keep others from writing.
    """
    left, writes, committed = at, False, False

    def on_statement(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        nonlocal writes
        writes |= statement.startswith(("INSERT", "UPDATE", "DELETE"))

    def on_commit(_connection: Any) -> None:
        nonlocal left, writes, committed
        left, writes, committed = left - writes, False, writes
        if left == 0 and how == signal.SIGKILL:
            os.kill(os.getpid(), how)

    def on_begin(_connection: Any) -> None:
        nonlocal committed
        if left == 0 and committed:
            committed = False
            os.kill(os.getpid(), how)

    enter(folder)
    event.listen(Engine, "before_cursor_execute", on_statement)
    event.listen(Engine, "commit", on_commit)
    event.listen(Engine, "begin", on_begin)
    promotion.promote(trained_run(run), NAME, judge=accept)


def promote_in(folder: Path, run: str) -> None:
    """Promote the run in a folder's store."""
    enter(folder)
    promotion.promote(trained_run(run), NAME, judge=accept)


def copies(first: int = 1, step: int = 1) -> Iterator[tuple[int, Path]]:
    """Copies `1`, `2`, … of the current folder."""
    start = sorted(Path.cwd().iterdir())
    for number in count(first, step):
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
        code = ended(forked(promote_until, run, folder, number, signal.SIGKILL))
        if code == 0:
            break
        if code != -signal.SIGKILL:
            sys.exit(f"ended with {code}")


def stop(run: str, next_run: str) -> None:
    """See above; leaves a file `refused` where the one that went on found that it had been late."""
    lock._file_lock = lambda _path, wait_s: lock._turn(NAME, wait_s)
    # a beat in mid-write would be stopped with the lock of the file
    ledger.POLL_S, ledger.RENEW_S, ledger.PATIENCE = 0.02, 1000, 10

    def first(number: int, folder: Path) -> None:
        try:
            promote_until(run, folder, number, signal.SIGSTOP)
        except BusyError:
            Path("refused").touch()

    for number, folder in copies(2, 4):  # all 31 pass, and take a minute or more
        stopped = forked(first, number, folder)
        if not os.WIFSTOPPED(os.waitpid(stopped, os.WUNTRACED)[1]):
            break
        code = ended(forked(promote_in, folder, next_run))
        os.kill(stopped, signal.SIGCONT)
        if code or ended(stopped):
            sys.exit(f"ended with {code}")


if __name__ == "__main__":
    {"race": lambda *runs: race([*runs]), "kill": kill, "stop": stop}[sys.argv[1]](*sys.argv[2:])
