"""`make team` and `make team-down`: python -m flows.team start [NAME …] | stop.

For containers: prepare | answers NAME | compose, which writes compose.yaml.
"""

import sys
import time
from pathlib import Path

from digits.core import process
from digits.core.errors import BusyError, ServiceError
from flows.team import compose, prepare, programs
from flows.team.control import Team
from flows.team.settings import load


def start() -> None:
    """Start everything and print where it is; after an error nothing is left running.

    With names only these servers, and what they need: before an upgrade of the databases.

    Raises:
        BusyError: everything is up already, or a port is taken.
        ServiceError: a program is not installed, or a server does not start.
    """
    began = time.monotonic()
    settings = load(Path.cwd())
    if (settings.folder / "run/supervisor.pid").exists() and Team(settings).is_up():
        raise BusyError("already up; see make team-down")
    team, names = Team(settings), sys.argv[2:]
    try:
        team.start(*names)
        if names:
            return
        prepare.add_remote(settings)
    except BaseException:
        team.down()
        raise
    print(f"MLflow   {settings.address('mlflow')}")
    print(f"Prefect  {settings.address('prefect')}")
    print("`dvc push -r team` gives the workers your data")
    print(f"all answer after {time.monotonic() - began:.0f} s; `. .team/env` sets the addresses")


def stop() -> None:
    """End what `start` started; what it holds stays in `.team`."""
    settings = load(Path.cwd())
    if not settings.folder.exists() or not (team := Team(settings)).processes():
        print("nothing is up")
    else:
        team.down()


def make_ready() -> None:
    """Make passwords, configuration, PostgreSQL's folder and the clones of the workers."""
    Team(load(Path.cwd())).prepare(*programs.NEEDS)


def answers() -> None:
    """Ask one server, which gets the databases or buckets that it lacks.

    Raises:
        ServiceError: it does not answer.
    """
    name = sys.argv[2]
    if not Team(load(Path.cwd())).answers(name):
        raise ServiceError(f"{name}: does not answer")


def write_compose() -> None:
    """Write compose.yaml anew."""
    Path("compose.yaml").write_text(compose.text(), "utf-8")


if __name__ == "__main__":
    work = {"start": start, "stop": stop, "prepare": make_ready, "answers": answers}
    process.run_program({**work, "compose": write_compose}[sys.argv[1]])
