"""The gate: it collects the evidence on a challenger and its champions, and decides.

First it checks that the run, its data and its code are what is recorded of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from imageproof.artifacts import WORKSPACE, Artifacts
from imageproof.base._dataset import EVALUATED
from imageproof.base._naming import project_name
from imageproof.base.errors import ImageproofError, IntegrityError
from imageproof.base.files import read_json
from imageproof.dvc import provenance
from imageproof.dvc.params_yaml import get_by_path, read
from imageproof.judge.gate import APPROVAL, Check, Decision, Evidence, unpaired
from imageproof.mlflow.restore import check_training
from imageproof.outputs import SPLIT_TAGS
from imageproof.project import Project
from imageproof.registry._decision import decide
from imageproof.registry._holdout import Holdout
from imageproof.registry._model_files import ModelFiles
from imageproof.registry._seen_rows import DataRows, rows_of_split
from imageproof.registry._shadow import shadow, shadow_counts
from imageproof.registry._versions import Registry, TrainedRun, find
from imageproof.system import _repository

SPLIT_FILES = WORKSPACE.split_hashes, *map(WORKSPACE.split, EVALUATED)
JUDGED_BY = (
    WORKSPACE.validation,
    WORKSPACE.packed_rows,
    WORKSPACE.baseline.record,
    WORKSPACE.baseline.predictions,
    *SPLIT_FILES,
)


@dataclass(frozen=True)
class Gate:
    """Judges by the hold-out rows in `root`: the project's folder, or an experiment's outputs."""

    project: Project
    root: Path = Path()
    approval: Check | None = None

    def __call__(
        self,
        run: TrainedRun,
        files: ModelFiles,
        name: str,
        champion: str | None,
    ) -> Decision:
        """Let challenger and champions answer the same hold-out rows, and apply the checks.

        IntegrityError if the hold-out rows are not those of the run's split, or a file is gone or
        not as recorded.
        """
        provenance.check_outputs(JUDGED_BY, self.root)
        check_splits(run, self.root)
        check_settings(self.root)
        check_training(run.run_id, run.tags, self.root)
        holdout = Holdout(self.project, Artifacts(self.root))
        evidence = holdout.evidence(run, files, name, champion)
        evidence = replace(evidence, facts={fact.name: fact for fact in self._facts(run, champion)})
        decision = decide(evidence, self.project.promote, self.project.checks)
        if decision.undecided:
            decision = replace(decision, note=self._cure(evidence, decision.failed))
        return decision

    def data_rows(self, run: TrainedRun) -> DataRows | None:
        """The rows that a run's model has seen; None if the split here is not that of the run."""
        with suppress(ImageproofError):
            provenance.check_outputs(SPLIT_FILES, self.root)
            check_splits(run, self.root)
            return rows_of_split(Artifacts(self.root))
        return None

    def _facts(self, run: TrainedRun, champion: str | None) -> Iterator[Check]:
        """The checks that are on and do not depend on a model's answers."""
        promote = self.project.promote
        if promote.data_validated:
            yield Check("data_validated", *data_origin(run, self.root), "validation passed")
        if promote.clean_commit:
            yield Check("clean_commit", *commit_origin(run.tags), "a commit, no uncommitted code")
        if promote.shadow and champion:
            counts = shadow_counts(run.run_id, champion, self.project)
            yield shadow(counts, promote.shadow)
        elif promote.shadow:
            yield unpaired("shadow", None)
        if self.approval:
            yield self.approval

    def _cure(self, evidence: Evidence, failed: Sequence[str]) -> str:
        """What helps where rows are too few, or nobody was asked."""
        command = project_name()
        name = evidence.challenger.name
        version = name if name.isdecimal() else "VERSION"
        cures = []
        champion = evidence.champion
        if "min_unseen" in failed:
            cures = ["add images (`dvc add data`), or lower promote.min_unseen"]
            if champion and not champion.finding and champion.unseen is None:
                run_id = find(Registry(self.project.name).uri(champion.name)).run_id
                cures = [f"`{command} promote --run {run_id}` with its data records its rows"]
        if "shadow" in failed:
            rows = "random rows (true in a column `random`) of a package with it as --shadow"
            cures.append(f"label {rows}, then `{command} monitor LOG --labels CSV`")
        if APPROVAL in failed:  # the gate refused it, and now does not
            cures.append(f"`{command} promote` judges it again")
        return (
            f"{'; '.join(cures)}; or a person decides: "
            f"`{command} rollback --to {version} --force --reason TEXT`"
        )


def check_splits(run: TrainedRun, root: Path) -> None:
    """Raise IntegrityError if a split that dvc.lock records is not that of the run."""
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
    """Raise IntegrityError if split or validation had other params than params.yaml has."""
    # an experiment with fewer hold-out rows or laxer validation could pass the gate by luck
    params = read()
    for stage in ("split", "validate"):
        for key, recorded in provenance.recorded(stage, root).values.items():
            present = get_by_path(params, key)
            if key != "seed" and present != recorded:
                finding = f"{stage}: made with {key} {recorded}, params.yaml has {present}"
                cure = "`dvc repro` makes it anew, `dvc exp apply` takes over an experiment's"
                raise IntegrityError(f"{finding}; {cure}")


def data_origin(run: TrainedRun, root: Path) -> tuple[bool, str]:
    """Whether the run's data are those here, and passed validation; what is wrong otherwise."""
    data_md5 = run.tags.get("data_md5", "")
    validation = WORKSPACE.validation
    present = provenance.data_md5(root / provenance.DATA_POINTER)
    if present != data_md5:
        return False, f"trained on data {data_md5 or 'unknown'}, data.dvc has {present}"
    validated = provenance.recorded("validate", root).inputs.get(provenance.DATA)
    if validation not in provenance.recorded_outputs(root) or validated != data_md5:
        cure = "`dvc repro validate` makes it"
        return False, f"dvc.lock has no validation of data {data_md5}; {cure}"
    result = read_json(root / validation, dict[str, Any])
    if result["success"] is True:
        return True, f"data {data_md5[:12]} passed"
    return False, f"{result['critical']} critical findings in {validation}"


def commit_origin(tags: Mapping[str, str]) -> tuple[bool, str]:
    """Whether the run's code is in a commit that is here; what is wrong otherwise."""
    commit = tags.get("git_commit", "")
    if not commit:
        return False, "no commit recorded"
    short = commit[:12]
    if tags.get("git_dirty") != "false":
        names = f" ({tags['git_changed']})" if tags.get("git_changed") else ""
        return False, f"{short} with uncommitted changes{names}; commit them, then train again"
    # not `git branch`, which lists a HEAD without branch, too
    kinds = ("refs/heads", "refs/remotes", "refs/tags")
    refs = _repository.try_git("for-each-ref", "--contains", commit, *kinds, failed="unknown")
    if refs == "unknown":
        return False, f"{short} is unknown here{_repository.unshallow()}"
    if not refs:  # amended, or rebased
        return True, f"{short}, but no branch has it: `git branch NAME {short}` keeps it"
    return True, short
