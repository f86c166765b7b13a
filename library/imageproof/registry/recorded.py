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
from imageproof.registry.versions import TrainedRun
from imageproof.system import repository


def check_splits(run: TrainedRun, root: Path) -> None:
    tags, recorded = run.tags, provenance.recorded_outputs(root)
    for split, tag in SPLIT_TAGS.items():
        path = WORKSPACE.split(split)
        if tag not in tags or tags[tag] != recorded.get(path):
            raise IntegrityError(
                f"run {run.run_id}: {path} had md5 {tags.get(tag, 'unknown')}, dvc.lock has "
                f"{recorded.get(path, 'none')}, so hold-out rows may be among its training rows; "
                "bring its split back, promote its experiment (--exp NAME), or train it again: "
                f"`dvc repro -f -s {tags.get('dvc_stage', 'train')}`"
            )


def check_settings(root: Path) -> None:
    # an experiment with fewer hold-out rows or laxer validation could pass the gate by luck
    for stage in ("split", "validate"):
        for key, recorded in provenance.recorded_params(stage, root).items():
            if key != "seed" and (present := get_by_path(read(), key)) != recorded:
                found = f"{stage}: made with {key} {recorded}, params.yaml has {present}"
                cure = "`dvc repro` makes it anew, `dvc exp apply` takes over an experiment's"
                raise IntegrityError(f"{found}; {cure}")


def data_finding(run: TrainedRun, root: Path) -> str | None:
    validation, data_md5 = WORKSPACE.validation, run.tags.get("data_md5", "")
    present = provenance.data_md5(root / provenance.DATA_POINTER)
    if not data_md5 or present != data_md5:
        return f"trained on data {data_md5 or 'unknown'}, data.dvc has {present}"
    if not (root / validation).exists():
        return f"{validation} not found; `dvc repro validate` makes it"
    validated = provenance.recorded_inputs("validate", root).get(provenance.DATA)
    if validation not in provenance.recorded_outputs(root) or validated != data_md5:
        return f"dvc.lock has no validation of data {data_md5}; `dvc repro validate` makes it"
    result = read_json(root / validation, dict[str, Any], keys=("success", "critical"))
    if result["success"] is True:
        return None
    return f"{result['critical']} critical findings in {validation}"


def commit_finding(tags: Mapping[str, str]) -> str | None:
    if not (commit := tags.get("git_commit")):
        return "no commit recorded"
    if tags.get("git_dirty") != "false":
        names = f" ({tags['git_changed']})" if "git_changed" in tags else ""
        return f"{commit[:12]} with uncommitted changes{names}; commit them, then train again"
    known = repository.try_git("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}")
    return None if known else f"{commit[:12]} is unknown here{repository.unshallow()}"
