"""The `stage` flow: one stage of dvc.yaml on a worker, in a clone that its pull step has made.

It imports nothing of this project. What goes to and fro is in git and in DVC's remote.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import PIPE, STDOUT, Popen

from prefect import flow, get_run_logger, runtime


@flow(name="stage")
def stage(
    name: str, upstream: Sequence[str], files: dict[str, str], remote: tuple[str, str]
) -> None:
    """Run one stage unless the run cache has its result, and push what it made.

    Args:
        name: Of the stage.
        upstream: The stages and `.dvc` files whose outputs it reads.
        files: Text by path of what differs from the commit without being code: params.yaml,
            dvc.lock, outputs that git keeps.
        remote: Name and address of the DVC remote.
    """
    for path, text in files.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text, encoding="utf-8")
    env = {**os.environ, "PYTHONPATH": str(Path("src").resolve()), "PYTHONUNBUFFERED": "1"}
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    env["PREFECT__FLOW_RUN_ID"] = str(runtime.flow_run.parent_flow_run_id)
    _dvc(env, "remote", "add", "--quiet", "--local", "--default", "--force", *remote)
    if upstream:  # without a target DVC would pull all
        _dvc(env, "pull", "--run-cache", *upstream)
    _dvc(env, "repro", "--pull", "--single-item", name)  # without --pull it would run again
    _dvc(env, "push", "--run-cache", name)


def _dvc(env: Mapping[str, str], *arguments: str) -> None:
    # it ends, with all that it started, when this process does
    command = [sys.executable, "-m", "imageproof.base.commands", "dvc", *arguments]
    with Popen(
        command, env=env, stdout=PIPE, stderr=STDOUT, text=True, start_new_session=True
    ) as process:
        assert process.stdout
        try:
            for line in process.stdout:
                get_run_logger().info(line.rstrip())
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        raise RuntimeError(f"dvc {arguments[0]} ended with {process.returncode}")
