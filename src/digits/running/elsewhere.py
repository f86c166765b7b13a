"""A stage on a machine that shares no folder with the project of whoever asks for it.

The machine gets the commit and what the pipeline and the user rewrite, takes upstream outputs from
a DVC remote, and leaves the result there: in DVC's run cache, where everybody's `dvc repro --pull`
finds it. If the run cache has the result already, nothing runs.
"""

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from digits import params
from digits.core import checkout, machine, process, remote
from digits.core.commands import LONG_GRACE_S, CommandFailedError, Commands
from digits.core.errors import ServiceError, UsageError
from digits.core.files import StrictModel, scratch, write_text
from digits.core.pipeline import DVC, last_lines, stage_exit_code


class Work(StrictModel):
    """One stage to run.

    Attributes:
        stage: Its name.
        upstream: The stages and `.dvc` files whose outputs it reads.
        commit: Of the code.
        address: Of the git repository that has it, without secrets.
        files: Text by path of what differs from the commit without being code: params.yaml,
            dvc.lock, outputs that git keeps.
        remote: The name of the DVC remote.
        settings: Its settings, without secrets.
        tracking_uri: Where MLflow keeps runs, unless the machine's environment says it.
        flow_run: The id of the Prefect flow run that it belongs to.
        experiment: The name of the DVC experiment that it belongs to, if any.
        threaded: Whether it computes with `train.threads` threads.
    """

    stage: str
    upstream: list[str]
    commit: str
    address: str
    files: dict[str, str]
    remote: str
    settings: dict[str, str]
    tracking_uri: str
    flow_run: str
    experiment: str
    threaded: bool


def run_here(work: Work, commands: Commands, on_line: Callable[[str], None]) -> None:
    """Run a stage in a process of its own, which ends with this one.

    Args:
        work: The stage.
        commands: What can end it.
        on_line: Gets each line that it prints.

    Raises:
        CommandFailedError: it failed, or was ended; with its exit code and its last lines.
    """
    env = process.child_environment(
        root=checkout.home(), experiment=work.experiment, flow_run=work.flow_run
    )
    own = {checkout.HOME: str(checkout.home()), "PYTHONUNBUFFERED": "1"}
    tracking_uri = env.get("MLFLOW_TRACKING_URI") or work.tracking_uri  # empty is not set
    env = {**env, **own, "MLFLOW_TRACKING_URI": tracking_uri}
    folder = checkout.home() / checkout.FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with scratch(folder) as place:
        write_text(place / "work.json", work.model_dump_json())
        command = [sys.executable, "-m", "digits.core.commands", "digits.running.elsewhere"]
        try:
            command = [*command, str(place / "work.json")]
            commands.run(command, env=env, on_line=on_line, grace_s=LONG_GRACE_S)
        except CommandFailedError as error:
            raise CommandFailedError(
                error.findings[0], *last_lines(error.lines), code=error.code
            ) from None


def main(path: str) -> None:
    """Run the stage that a JSON file describes in a clone beside it."""
    work = Work.model_validate_json(Path(path).read_bytes())
    folder = Path(path).parent / "project"
    checkout.clone(work.commit, work.address, folder)
    for name, text in work.files.items():
        if not (folder / name).resolve().is_relative_to(folder.resolve()):
            raise UsageError(f"{name}: lies outside of the project")
        write_text(folder / name, text)
    remote.use(folder, work.remote, work.settings)
    os.chdir(folder)
    dvc = partial(_dvc, *checkout.environment(folder))
    try:
        if work.upstream:  # without a target DVC would pull all
            dvc("pull", "--quiet", *work.upstream)
    except CommandFailedError as error:
        reason = " ".join(last_lines(error.lines)[-1:])
        raise ServiceError(f"remote {work.remote}: {reason}") from None
    slots = machine.Slots(checkout.home(), params.load(folder / params.PATH).train.at_once)
    try:
        with slots.one(print) if work.threaded else nullcontext():
            remote.fetch_result(folder, work.stage)  # also what has run while we waited
            dvc("repro", "--single-item", work.stage)
    except CommandFailedError as error:
        sys.exit(stage_exit_code(error))  # it has said why
    remote.push_result(folder, work.stage)


def _dvc(python: Path, env: Mapping[str, str], *arguments: str) -> None:
    command = [str(python), *DVC[1:], *arguments]
    say = partial(print, flush=True)
    Commands().run(command, env=os.environ | env, on_line=say, grace_s=LONG_GRACE_S)


if __name__ == "__main__":
    process.run_stage(main)
