"""The command of a stage, as DVC starts it: code of its folder, on inputs that do not change."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from imageproof.base.errors import ServiceError
from imageproof.dvc import _stage_inputs
from imageproof.dvc._experiment import take_out_stale
from imageproof.system import _process


def begin(package: Path) -> None:
    """Where DVC runs a stage: use the folder's own code, and note the stage's inputs.

    The file of the package of all stages calls it, before the modules of the stage are imported.
    """
    if stage := _stage():
        try:
            _use_own_code(package)
            _stage_inputs.begin(stage)
        except Exception as error:
            sys.exit(_process.report_error(error))


def run_stage(main: Callable[..., object]) -> NoReturn:
    """Run a stage's `main` with the command line's arguments; it ends when its parent does.

    It ends as `_process.run_program` does; an IntegrityError if its inputs changed.
    """

    def work() -> None:
        main(*sys.argv[1:])
        _stage_inputs.check_inputs()
        if (stage := _stage()) and _process.EXPERIMENT in os.environ:
            take_out_stale(stage)

    _process.die_with_parent()
    _process.run_program(work)


def _stage() -> str:
    """The stage's name. DVC puts a path before it where it was called in another folder."""
    return os.environ.get(_process.STAGE, "").rpartition(":")[2]


def _use_own_code(package: Path) -> None:
    """Start this Python again with the folder's `src` and `library` first, if other code runs.

    An environment may have the code of another clone, or of the project of which DVC made a copy.
    """
    folder = Path.cwd()
    files = [package.resolve(), Path(__file__).resolve()]
    sources = [(folder / source).resolve() for source in _process.SOURCES]
    pairs = zip(files, sources, strict=True)
    foreign = [file for file, source in pairs if not file.is_relative_to(source)]
    if not foreign:
        return
    paths = os.environ.get("PYTHONPATH", "")
    if paths.startswith(_process.own_code(folder)):
        reason = f"{folder}: does not hold the code that runs, which is {foreign[0]}"
        raise ServiceError(f"{reason}; `make install` makes an environment of this folder's own")
    os.environ["PYTHONPATH"] = _process.own_code(folder, paths)
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
