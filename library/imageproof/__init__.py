"""What every such project needs; it imports nothing of the project, which gives it values.

`project.Project` says what these are: blocks of params.yaml.
The names below are the public face; each is imported when it is first used.
"""

from importlib import import_module
from typing import Any

_FACE = {
    "project": "Project",
    "artifacts": "Artifacts",
    "outputs": "EvaluateOutputs RunRecord TrainOutputs",
    "base.dataset": "Dataset Split",
    "base.errors": "DataError ImageproofError UsageError",
    "dvc.run": "run_pipeline",
    "mlflow.live": "training_run",
    "mlflow.restore": "log_evaluation restore_all",
    "registry.promotion": "promote_training rollback",
    "registry.reproduce": "reproduce_version",
    "registry.served": "served",
    "registry.trace": "find_origin",
    "registry.versions": "Registry",
    "diff.collect": "collect_diff",
    "serve.package": "write_package",
}
_WHERE = {name: module for module, names in _FACE.items() for name in names.split()}
__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
