"""What a process was started by: a DVC stage or experiment, a Prefect flow run, `mlflow run`.

Each of the three tools tells its child processes through environment variables.
"""

import os
from pathlib import Path

_ROOT = "DVC_ROOT"
_EXPERIMENT = "DVC_EXP_NAME"
_FLOW_RUN = "PREFECT__FLOW_RUN_ID"
_PARENT_RUN = "MLFLOW_RUN_ID"
_PREFIXES = (_ROOT, "DVC_STAGE", "DVC_EXP", _FLOW_RUN, _PARENT_RUN)


def project_root() -> Path:
    """The project's folder. A DVC experiment may run in a copy of it, which is not returned."""
    return Path(os.environ.get(_ROOT, ".")).resolve()


def dvc_experiment() -> str:
    """The name of the DVC experiment that this process belongs to, or an empty string."""
    return os.environ.get(_EXPERIMENT, "")


def flow_run() -> str:
    """The id of the Prefect flow run that this process belongs to, or an empty string."""
    return os.environ.get(_FLOW_RUN, "")


def take_parent_run() -> str | None:
    """The id of the run of an enclosing `mlflow run`, removed from the environment.

    If it stayed there, MLflow would resume that run in this process and in every child.
    """
    return os.environ.pop(_PARENT_RUN, None)


def environment(
    *, root: Path | None = None, experiment: str = "", flow_run: str = "", parent_run: str = ""
) -> dict[str, str]:
    """The environment for a child process that belongs to these instead of to ours."""
    others = {k: v for k, v in os.environ.items() if not k.startswith(_PREFIXES)}
    context = {
        _ROOT: str(root or ""),
        _EXPERIMENT: experiment,
        _FLOW_RUN: flow_run,
        _PARENT_RUN: parent_run,
    }
    return others | {name: value for name, value in context.items() if value}
