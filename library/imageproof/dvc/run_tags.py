"""The tags of a run: which code, data, packages and machine it comes from, and what started it."""

import os
import platform
from pathlib import Path

from imageproof.base import _machine
from imageproof.base.files import flatten, md5, parse_yaml
from imageproof.base.text import first_names, printable
from imageproof.dvc.params_yaml import PATH
from imageproof.dvc.provenance import (
    ARTIFACTS,
    DATA,
    OUTPUTS,
    at_commit,
    data_md5,
    recorded,
    recorded_outputs,
)
from imageproof.system import _process
from imageproof.system._process import SOURCES
from imageproof.system._repository import try_git

LOCK = Path("requirements.lock")


def tags(*, stage: str, split: Path) -> dict[str, str]:
    """MLflow tags of a run: code, data, packages, machine, and what started it.

    `git_dirty` ignores params.yaml, which the run records, and what the pipeline writes: dvc.lock,
    artifacts/. A changed data.dvc counts: no commit names its data. `git_changed` names the first
    files. `split` has the training rows.
    """
    commit = try_git("rev-parse", "HEAD")
    changed = changed_code() if commit else []
    # data.dvc may name newer data, pulled while the pipeline ran
    split_is_recorded = split.exists() and recorded_outputs().get(split) == md5(split)
    data = recorded("split").inputs.get(DATA, "") if split_is_recorded else ""
    experiment = os.environ.get(_process.EXPERIMENT, "")
    values = {
        "dvc_stage": stage,
        "git_commit": commit,
        "git_dirty": str(bool(changed)).lower() if commit else "",
        "git_changed": first_names(changed),
        "data_md5": data or data_md5() or "untracked",
        **environment(),
        "dvc_exp": experiment,
        "changed": _changed_params() if experiment else "",
        "prefect_flow_run_id": os.environ.get(_process.FLOW_RUN, ""),
    }
    # without a commit MLflow would take that of the repository that holds Python's programs
    return {name: value for name, value in values.items() if value or name == "git_commit"}


def environment() -> dict[str, str]:
    """MLflow tags of packages and machine."""
    return {
        "lock_md5": md5(LOCK) if LOCK.exists() else "",
        "python": platform.python_version(),
        "cpu": _machine.cpu(),
        "cpu_features": " ".join(_machine.cpu_features()),
    }


def _changed_params() -> str:
    """The values in params.yaml that differ from the commit, such as `seed 1 → 2`."""
    texts = (at_commit("HEAD", PATH), PATH.read_text("utf-8"))
    old, new = (flatten(parse_yaml(text) or {}) for text in texts)
    keys = [key for key in old | new if old.get(key) != new.get(key)]
    changes = (f"{key} {old.get(key, 'none')} → {new.get(key, 'none')}" for key in keys)
    return printable(", ".join(changes))[:500]


def changed_code() -> list[str]:
    """Files that differ from the commit, and untracked ones that Python could import."""
    excluded = (f":!{path}" for path in (PATH, OUTPUTS, ARTIFACTS))
    differing = "diff", "HEAD", "--name-only", "--", ".", *excluded
    untracked = "ls-files", "--others", "--exclude-standard", "--", *SOURCES, "*.py"
    return [
        name
        for command in (differing, untracked)
        for name in try_git("-c", "core.quotePath=false", *command, failed="unknown").splitlines()
    ]
