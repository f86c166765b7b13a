"""What a kill leaves: no process that trains on, and no flow run that seems to."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from filelock import FileLock, Timeout
from prefect import runtime
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.exceptions import ObjectNotFound
from prefect.states import Crashed

from digits.core import context, process

FOLDER = Path(".dvc/tmp/flow-runs")
GONE = "its process was killed"


@contextmanager
def never_forgotten() -> Iterator[None]:
    """End this flow run with its worker, and let the next one see if it was killed."""
    process.set_environment()
    if context.flow_run():  # a worker started it, and nobody else reads its log
        process.die_with_parent()
    with _alive(Path.cwd(), str(runtime.flow_run.id)):
        yield


@contextmanager
def _alive(root: Path, flow_run_id: str) -> Iterator[None]:
    """Hold a lock while this flow run lives, and call Crashed those that hold theirs no more."""
    folder = root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    own = FileLock(folder / f"{flow_run_id}.lock")
    with FileLock(folder / "all"):  # else one could be taken for dead before it holds its lock
        for path in folder.glob("*.lock"):
            _close_if_abandoned(path)
        own.acquire()
    try:
        yield
    finally:
        own.release()
    Path(own.lock_file).unlink(missing_ok=True)


def _close_if_abandoned(path: Path) -> None:
    try:
        with FileLock(path, timeout=0), get_client(sync_client=True) as client:
            _crash(client, UUID(path.stem))
            path.unlink(missing_ok=True)
    except Timeout:
        return


def _crash(client: SyncPrefectClient, flow_run_id: UUID) -> None:
    try:
        flow_run = client.read_flow_run(flow_run_id)
    except ObjectNotFound:  # of another server
        return
    only = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))
    for task_run in client.read_task_runs(flow_run_filter=only):
        if task_run.state is not None and task_run.state.is_running():
            client.set_task_run_state(task_run.id, Crashed(message=GONE), force=True)
    if flow_run.state is None or not flow_run.state.is_final():  # its worker may have told
        client.set_flow_run_state(flow_run_id, Crashed(message=GONE), force=True)
