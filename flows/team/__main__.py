"""`make team` and `make team-down`: python -m flows.team start | stop."""

import sys
import time
from pathlib import Path

from digits.core import process
from digits.core.errors import BusyError
from flows.team import prepare
from flows.team.control import Team
from flows.team.settings import load


def start() -> None:
    """Start everything and print where it is; after an error nothing is left running.

    Raises:
        BusyError: everything is up already, or a port is taken.
        ServiceError: a program is not installed, or a server does not start.
    """
    began = time.monotonic()
    settings = load(Path.cwd())
    if (settings.folder / "run/supervisor.pid").exists() and Team(settings).is_up():
        raise BusyError("already up; see make team-down")
    team = Team(settings)
    try:
        team.start()
        prepare.add_remote(settings)
    except BaseException:
        team.down()
        raise
    print(f"MLflow   {settings.address('mlflow')}")
    print(f"Prefect  {settings.address('prefect')}")
    print(f"all answer after {time.monotonic() - began:.0f} s; `. .team/env` sets the addresses")


def stop() -> None:
    """End what `start` started; what it holds stays in `.team`."""
    settings = load(Path.cwd())
    if not settings.folder.exists() or not (team := Team(settings)).processes():
        print("nothing is up")
    else:
        team.down()


if __name__ == "__main__":
    process.run_program({"start": start, "stop": stop}[sys.argv[1]])
