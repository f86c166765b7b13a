"""Whether a run, its data and its code are what is recorded of them, before the gate judges it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imageproof.artifacts import WORKSPACE
from imageproof.base.errors import IntegrityError
from imageproof.base.files import read_json
from imageproof.dvc import provenance
from imageproof.dvc.params_yaml import get_by_path, read
from imageproof.outputs import SPLIT_TAGS
from imageproof.registry._versions import TrainedRun
from imageproof.system import _repository


def check_splits(run: TrainedRun, root: Path) -> None:
    recorded = provenance.recorded_outputs(root)
    for split, tag in SPLIT_TAGS.items():
        path = WORKSPACE.split(split)
        md5 = run.tags.get(tag, "unknown")
        if md5 != recorded.get(path):
            raise IntegrityError(
                f"run {run.run_id}: {path} had md5 {md5}, dvc.lock has "
                f"{recorded.get(path, 'none')}, so hold-out rows may be among its training rows; "
                "bring its split back, promote its experiment (--exp NAME), or train it again: "
                f"`dvc repro -f -s {run.tags.get('dvc_stage', 'train')}`"
            )


def check_settings(root: Path) -> None:
    # an experiment with fewer hold-out rows or laxer validation could pass the gate by luck
    for stage in ("split", "validate"):
        for key, recorded in provenance.recorded(stage, root).values.items():
            present = get_by_path(read(), key)
            if key != "seed" and present != recorded:
                finding = f"{stage}: made with {key} {recorded}, params.yaml has {present}"
                cure = "`dvc repro` makes it anew, `dvc exp apply` takes over an experiment's"
                raise IntegrityError(f"{finding}; {cure}")


def data_origin(run: TrainedRun, root: Path) -> tuple[bool, str]:
    """Whether the run's data are those here, and passed validation; what is wrong otherwise."""
    data_md5 = run.tags.get("data_md5", "")
    finding = _data_finding(data_md5, root)
    return not finding, finding or f"data {data_md5[:12]} passed"


def _data_finding(data_md5: str, root: Path) -> str:
    validation = WORKSPACE.validation
    present = provenance.data_md5(root / provenance.DATA_POINTER)
    if present != data_md5:
        return f"trained on data {data_md5 or 'unknown'}, data.dvc has {present}"
    if not (root / validation).exists():
        return f"{validation} not found; `dvc repro validate` makes it"
    validated = provenance.recorded("validate", root).inputs.get(provenance.DATA)
    if validation not in provenance.recorded_outputs(root) or validated != data_md5:
        return f"dvc.lock has no validation of data {data_md5}; `dvc repro validate` makes it"
    result = read_json(root / validation, dict[str, Any])
    if result["success"] is True:
        return ""
    return f"{result['critical']} critical findings in {validation}"


def commit_origin(tags: Mapping[str, str]) -> tuple[bool, str]:
    """Whether the run's code is in a commit that is here; what is wrong otherwise."""
    commit = tags.get("git_commit", "")
    if not commit:
        return False, "no commit recorded"
    short = commit[:12]
    if tags.get("git_dirty") != "false":
        names = f" ({tags['git_changed']})" if "git_changed" in tags else ""
        return False, f"{short} with uncommitted changes{names}; commit them, then train again"
    if not _repository.try_git("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}"):
        return False, f"{short} is unknown here{_repository.unshallow()}"
    return True, short
