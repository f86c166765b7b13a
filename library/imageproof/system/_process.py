"""Start and end a process of ours: what started it, signals, errors as lines, exit codes."""

import errno
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from threading import Thread
from types import FrameType
from typing import Any, NoReturn

from imageproof.base._addresses import without_credentials
from imageproof.base._naming import variable
from imageproof.base.errors import ImageproofError, ServiceError, UsageError
from imageproof.base.files import parsing
from imageproof.base.text import cut, one_line

# What the project sets for itself; a value the user has set wins.
ENVIRONMENT = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DVC_NO_ANALYTICS": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "GX_ANALYTICS_ENABLED": "false",
    "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime reads it when it is imported
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # before it ends a run; without a reader that fails, and the run would stay RUNNING
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL": "1",
    "PGCONNECT_TIMEOUT": "10",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",  # else TensorFlow takes all of a GPU's memory at once
    "MPLBACKEND": "agg",
    "ARROW_DEFAULT_MEMORY_POOL": "system",  # its own keeps what it no longer needs: half a table
    "no_proxy": "127.0.0.1,localhost",  # a proxy of the network reaches no server of this machine
}

# What a user may have set for other work: it would change results, which no run would tell.
MISLEADING = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"),  # of the repository in whose hook this runs
    *("KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH"),
    "MLFLOW_ACTIVE_MODEL_ID",  # it would get the metrics of ours
    "TF_ENABLE_ONEDNN_OPTS",  # off, which TensorFlow's first line offers, it gives other weights
    "TF_XLA_FLAGS",  # compiled layers give other weights, too
)

MOST_CHARACTERS = 1000  # of an error, which may quote a name of any length

# Where a project and its library lie, from the project's folder.
SOURCES = ("src", "library")

# How DVC, Prefect and `mlflow run` tell their child processes what these belong to.
ROOT = "DVC_ROOT"
EXPERIMENT = "DVC_EXP_NAME"
STAGE = "DVC_STAGE"
FLOW_RUN = "PREFECT__FLOW_RUN_ID"
PARENT_RUN = "MLFLOW_RUN_ID"
_CONTEXT = (ROOT, STAGE, "DVC_EXP", FLOW_RUN, PARENT_RUN)

_PARENT = os.getppid()  # noted before a stage's modules are imported, which takes seconds


def set_environment() -> None:
    """Set what the user has not set, take out MISLEADING, and make `python` this Python.

    By this name DVC starts the stages.
    """
    exempt = os.environ.get("NO_PROXY", ENVIRONMENT["no_proxy"])  # which it would overrule
    os.environ.update(ENVIRONMENT | {"no_proxy": exempt} | os.environ)
    for name in MISLEADING:
        os.environ.pop(name, None)
    programs = f"{Path(sys.executable).parent}{os.pathsep}"
    os.environ["PATH"] = programs + os.environ.get("PATH", os.defpath).removeprefix(programs)


def project_root() -> Path:
    """The project's folder. A DVC experiment may run in a copy of it, which is not returned."""
    return Path(os.environ.get(ROOT, ".")).resolve()


def own_code(folder: Path, *more: str) -> str:
    """A PYTHONPATH by which Python runs the project and the library of a folder, then the rest."""
    sources = (str(folder / source) for source in SOURCES)
    return os.pathsep.join([*sources, *filter(None, more)])


def child_environment() -> dict[str, str]:
    """`os.environ` for a child that belongs to no stage, experiment or run of ours."""
    return {k: v for k, v in os.environ.items() if not k.startswith(_CONTEXT)}


def run_command(command: Any, arguments: Sequence[str], **options: Any) -> None:
    """Run a command of Typer; a wrong argument is a UsageError, not a box of several lines."""
    from typer.exceptions import TyperException  # a package has no Typer

    try:
        command(arguments, standalone_mode=False, **options)
    except TyperException as error:
        context = getattr(error, "ctx", None)
        name = context.command_path if context else command.name
        reason = one_line(error.format_message().rstrip("."), width=300)
        raise UsageError(f"{name}: {reason}; see `{name} --help`") from None


def run_program(work: Callable[[], object]) -> NoReturn:
    """Do the work and exit with 0, an ImageproofError's exit code, or 128 + signal number.

    Prints one `error: …` line per finding, and a traceback if the project's variable DEBUG is set.
    SIGINT and SIGTERM end the process through `finally` blocks; after the work they do nothing.
    """
    set_environment()
    if sys.stdout:  # escape what the encoding lacks
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    on_signals(_exit_on_signal)
    sys.unraisablehook = _exit_again
    debug = ""
    try:
        with parsing("TOML", "pyproject.toml"):
            debug = variable("DEBUG")
        work()
        on_signals(signal.SIG_IGN)  # else a stage that is done would run again
    except Exception as error:
        if signalled := exit_by_signal(error):
            raise signalled from None
        if os.environ.get(debug):
            address = os.environ.get("MLFLOW_TRACKING_URI", "")
            print(without_credentials(traceback.format_exc(), address), file=sys.stderr, end="")
        sys.exit(report_error(error))
    sys.exit(0)


def on_signals(handler: Any) -> None:
    """What SIGINT and SIGTERM do from now on."""
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, handler)


def exit_by_signal(error: BaseException | None) -> SystemExit | None:
    """The exit by a signal that was under way when this error was raised; None if there was none.

    TensorFlow raises its own error if a signal comes while it enters or leaves a device scope.
    """
    while error:
        if isinstance(error, SystemExit):
            return error
        error = error.__context__
    return None


def die_with_parent() -> None:
    """Get SIGTERM when the parent dies: no training outlives its `dvc repro`."""

    def watch() -> None:
        while os.getppid() == _PARENT:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    Thread(target=watch, name="parent", daemon=True).start()


def report_error(error: Exception) -> int:
    """Print the error, a line per finding; returns its exit code."""
    expected = _expected(error)
    for line in str(expected).split("\n"):
        print(f"error: {cut(line, MOST_CHARACTERS)}", file=sys.stderr)
    return expected.exit_code


def _expected(error: Exception) -> ImageproofError:
    """The error as one of ours."""
    if isinstance(error, ImageproofError):
        return error
    kind = ImageproofError
    reason = f"{place(error)}{type(error).__name__}: {one_line(error, width=300)}"
    if isinstance(error, OSError) and error.strerror:
        path = error.filename
        if error.errno == errno.ENOSPC:  # a copy names its source first
            path = error.filename2 or path or "standard output or a temporary file"
        kind = ServiceError
        reason = f"{cut(path, 200)}: {error.strerror}" if path else error.strerror
    return kind(f"{reason} ({variable('DEBUG')}=1 shows more)")


def place(error: Exception) -> str:
    """Which line of this folder's code or templates raised an error, as `src/a.py:7: `, if any."""
    folder = Path.cwd()
    places = [""]
    for frame, line in traceback.walk_tb(error.__traceback__):
        path = folder / frame.f_code.co_filename  # a template's is relative
        if path.is_relative_to(folder) and path.is_file() and "site-packages" not in path.parts:
            places.append(f"{path.relative_to(folder)}:{line}: ")
    return places[-1]


@contextmanager
def quiet_tensorflow(threads: int) -> Iterator[None]:
    """Import TensorFlow in this block, with `threads` threads and without its start-up lines."""
    os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = str(threads)
    sys.stderr.flush()
    stderr = os.dup(2)  # to which the C++ part writes before any log level
    with Path(os.devnull).open("wb") as null:
        os.dup2(null.fileno(), 2)
    try:
        yield
        # the C++ part starts with the first device, not with the import
        import_module("tensorflow").config.list_logical_devices()
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def _exit_on_signal(signum: int, _frame: FrameType | None) -> NoReturn:
    # When a process group is killed, SIGTERM comes twice: directly, and by the parent's death.
    # The second must not interrupt the clean-up that the first one started.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(128 + signum)


def _exit_again(swallowed: "sys.UnraisableHookArgs") -> None:
    # Within a finalizer or a weak reference's callback Python drops an exit, and goes on.
    error = swallowed.exc_value
    if not isinstance(error, SystemExit):
        sys.__unraisablehook__(swallowed)
        return
    code = error.code  # of the error itself the traceback would keep the frames
    signal.signal(signal.SIGALRM, lambda *_: sys.exit(code))
    signal.setitimer(signal.ITIMER_REAL, 0.01)
