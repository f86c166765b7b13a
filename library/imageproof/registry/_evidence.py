"""The gate: it collects the evidence on a challenger and its champions, and decides."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from imageproof.artifacts import WORKSPACE, Artifacts
from imageproof.base import _machine
from imageproof.base._dataset import EVALUATED
from imageproof.base._naming import project_name
from imageproof.base.errors import AnswersError, ImageproofError
from imageproof.dvc import provenance
from imageproof.judge.gate import Check, Contender, Decision, Evidence
from imageproof.mlflow.restore import check_training
from imageproof.project import Project
from imageproof.registry._decision import decide
from imageproof.registry._holdout import Holdout
from imageproof.registry._model_files import ModelFiles
from imageproof.registry._recorded import check_settings, check_splits, commit_origin, data_origin
from imageproof.registry._seen_rows import DataRows, rows_of_split
from imageproof.registry._shadow import shadow_counts
from imageproof.registry._versions import Registry, TrainedRun, find

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
        self, run: TrainedRun, files: ModelFiles, name: str, champion: str | None
    ) -> Decision:
        """Let challenger and champions answer the same hold-out rows, and apply the checks.

        IntegrityError if the hold-out rows are not those of the run's split, or a file is gone or
        not as recorded.
        """
        provenance.check_outputs(JUDGED_BY, self.root)
        check_splits(run, self.root)
        check_settings(self.root)
        check_training(run.run_id, run.tags, self.project, self.root)
        evidence = self._collect(run, files, name, champion)
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

    def _collect(
        self, run: TrainedRun, files: ModelFiles, name: str, champion: str | None
    ) -> Evidence:
        holdout = Holdout(self.project, Artifacts(self.root))
        data = holdout.split.data
        try:
            fields = holdout.challenger(run, files, name)
        except AnswersError as error:
            fields = {"challenger": Contender(name, finding=str(error))}
        fields["champion"] = None
        if champion:
            fields["champion"] = holdout.champion(champion, fields["challenger"])
            fields["shadow"] = shadow_counts(run.run_id, champion, self.project)
        return Evidence(
            labels=data.labels,
            names=holdout.names,
            groups=data.groups,
            metadata=holdout.artifacts.metadata(holdout.split.rows),
            hashes=holdout.hashes,
            former=holdout.former(champion, fields["challenger"]),
            cpu=_machine.cpu(),
            size_mb=files.network.stat().st_size / 1e6,
            data=data_origin(run, self.root),
            commit=commit_origin(run.tags),
            approval=self.approval,
            **holdout.baseline(),
            **fields,
        )

    def _cure(self, evidence: Evidence, failed: Sequence[str]) -> str:
        """What helps where too few rows are unseen, or were labelled in service."""
        command = project_name()
        version = evidence.challenger.name.removeprefix("version ")
        version = version if version.isdecimal() else "VERSION"
        cures = []
        champion = evidence.champion
        if "min_unseen" in failed and champion and champion.unseen is None:
            run_id = find(Registry(self.project.name).uri(champion.name)).run_id
            cures = [f"`{command} promote --run {run_id}`, where its split is, records its rows"]
        elif "min_unseen" in failed:
            cures = ["add images (`dvc add data`), or lower promote.min_unseen"]
        if "shadow" in failed:
            rows = "random rows of a package that asks it as --shadow"
            cures.append(f"label {rows}, and `{command} monitor` them")
        return (
            f"{'; '.join(cures)}; or a person decides: "
            f"`{command} rollback --to {version} --force --reason TEXT`"
        )
