"""The command of a stage, as DVC starts it: code of its folder, on inputs that do not change."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from imageproof.base import process
from imageproof.base.errors import ServiceError
from imageproof.dvc import stage_inputs
from imageproof.dvc.experiment import take_out_stale

SOURCES = Path("src")


def begin() -> None:
    """Where DVC runs a stage: use the folder's own code, and note the stage's inputs.

    Called before the modules of the stage are imported.
    """
    if stage := os.environ.get(process.STAGE):
        try:
            _use_own_code()
            stage_inputs.begin(stage)
        except Exception as error:
            sys.exit(process.report_error(error))


def run_stage(main: Callable[..., object]) -> NoReturn:
    """Run a stage's `main` as `process.run_stage` does; an IntegrityError if its inputs changed."""

    def work(*arguments: str) -> None:
        main(*arguments)
        stage_inputs.check_inputs()
        if process.STAGE in os.environ and process.EXPERIMENT in os.environ:
            take_out_stale(os.environ[process.STAGE])

    process.run_stage(work)


def _use_own_code() -> None:
    """Start this Python again with the folder's `src` first, if other code runs.

    An environment may have the code of another clone, or of the project of which DVC made a copy.
    """
    own = str(SOURCES.resolve())
    running = Path(__file__).resolve()
    if running.is_relative_to(own):
        return
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if paths[0] == own:
        reason = f"{own}: holds not the code that runs, which is {running}"
        raise ServiceError(f"{reason}; `make install` makes an environment of this folder's own")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [own, *paths]))
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
