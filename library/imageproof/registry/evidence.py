"""The evidence for the gate: the models' answers to the hold-out rows, and the run's origin."""

import json
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from imageproof.artifacts import WORKSPACE, Artifacts
from imageproof.base import machine
from imageproof.base.dataset import EVALUATED, Hits, Labels, Rows, Split
from imageproof.base.errors import AnswersError, ImageproofError, IntegrityError, UsageError
from imageproof.base.inference import ASKED, Network
from imageproof.base.naming import project_name
from imageproof.base.text import first_names
from imageproof.dvc import provenance
from imageproof.judge.gate import (
    Check,
    Contender,
    Decision,
    Evidence,
    Paired,
    md5_of_hashes,
)
from imageproof.judge.timing import latencies
from imageproof.mlflow.restore import check_training
from imageproof.mlflow.runs import own_tags
from imageproof.project import Project
from imageproof.registry.decision import decide
from imageproof.registry.model_files import ModelFiles
from imageproof.registry.recorded import check_settings, check_splits, commit_origin, data_origin
from imageproof.registry.seen_rows import (
    DataRows,
    Hashes,
    read_rows,
    rows_of_split,
    split_hashes,
)
from imageproof.registry.version import load_version
from imageproof.registry.versions import Registry, TrainedRun, find

JUDGED_BY = (
    WORKSPACE.validation,
    WORKSPACE.packed_rows,
    WORKSPACE.split_hashes,
    WORKSPACE.baseline.record,
    WORKSPACE.baseline.predictions,
    *map(WORKSPACE.split, EVALUATED),
)
# what a damaged tag raises
DAMAGED = LookupError, ValueError, OverflowError, RecursionError
# why a former champion is left out
BLIND = "they cannot answer"
UNKNOWN = "the rows that they have seen are unknown"
FEW = "too few rows are unseen"


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
        decision = decide(evidence, self.project.promote)
        if decision.undecided:
            decision = replace(decision, note=self._cure(evidence))
        return decision

    def data_rows(self, run: TrainedRun) -> DataRows | None:
        """The rows that a run's model has seen; None if the split here is not that of the run."""
        with suppress(ImageproofError):
            provenance.check_outputs(JUDGED_BY, self.root)
            check_splits(run, self.root)
            return rows_of_split(Artifacts(self.root))
        return None

    def _collect(
        self, run: TrainedRun, files: ModelFiles, name: str, champion: str | None
    ) -> Evidence:
        holdout = Holdout(self.project, Artifacts(self.root))
        data = holdout.split.data
        try:
            answers = holdout.ask_challenger(run, files, name)
        except AnswersError as error:
            answers = {"challenger": Contender(name, finding=str(error))}
        champions = Champions(holdout, answers["challenger"])
        return Evidence(
            champion=champions.answers(champion) if champion else None,
            labels=data.labels,
            names=holdout.names,
            groups=data.groups,
            metadata=holdout.artifacts.metadata(holdout.split.rows),
            hashes=holdout.hashes,
            former=champions.former(champion),
            cpu=machine.cpu(),
            size_mb=files.network.stat().st_size / 1e6,
            data=data_origin(run, self.root),
            commit=commit_origin(run.tags),
            approval=self.approval,
            **holdout.baseline(),
            **answers,
        )

    def _cure(self, evidence: Evidence) -> str:
        """What helps where too few rows are unseen."""
        command = project_name()
        version = evidence.challenger.name.removeprefix("version ")
        version = version if version.isdecimal() else "VERSION"
        cure = "add images (`dvc add data`), or lower promote.min_unseen"
        champion = evidence.champion
        if champion and champion.unseen is None:
            run_id = find(Registry(self.project.name).uri(champion.name)).run_id
            cure = f"`{command} promote --run {run_id}`, where its split is, records its rows"
        return (
            f"{cure}; or a person decides: "
            f"`{command} rollback --to {version} --force --reason TEXT`"
        )


@dataclass(frozen=True)
class Holdout:
    """The hold-out rows, and how a challenger answers them."""

    project: Project
    artifacts: Artifacts

    @cached_property
    def split(self) -> Split:
        return self.artifacts.read_split("holdout")

    @cached_property
    def hashes(self) -> Hashes:
        return split_hashes(self.artifacts, "holdout")

    @cached_property
    def unseen(self) -> Hits:
        """Which rows the challenger has not seen: all but copies of its rows."""
        return rows_of_split(self.artifacts).unseen(self.hashes)

    @cached_property
    def names(self) -> list[str]:
        data = self.project.data
        return data.class_names or [*map(str, range(data.classes))]

    def ask_challenger(self, run: TrainedRun, files: ModelFiles, name: str) -> dict[str, Any]:
        """The fields of Evidence on its answers; AnswersError if these are unusable."""
        images = self.split.data.images
        self._check_classes(run, files)
        network = files.load(threads=self.project.threads)
        if finding := files.inconsistency(images):
            raise AnswersError(finding)
        challenger = Contender.answering(
            name, network.ask(images), files.signature, unseen=self.unseen
        )
        fields: dict[str, Any] = {
            "challenger": challenger,
            "asked": f"{min(ASKED, len(images)):,} rows alone, in fives and in one batch",
            "truth_probabilities": files.calibration.truth_probabilities,
            "coverage": self.project.confidence.coverage,
        }
        if (limit := self.project.promote.max_latency_ms) is not None:
            pyfunc = files.load_as_served().predict
            fields["latency_ms"] = latencies(pyfunc, images, limit_ms=limit)
        return fields | self._test_hits(network)

    def baseline(self) -> dict[str, Any]:
        """The fields of Evidence on the baseline, if a check needs it.

        IntegrityError if it answered other rows.
        """
        if self.project.promote.beats_baseline is None:
            return {}
        outputs = self.artifacts.baseline
        name = outputs.read_record().name
        labels = self.split.data.labels
        predicted = outputs.read_predictions()["holdout"].argmax(axis=1)
        if len(predicted) != len(labels):
            answers = f"has answers to {len(predicted):,} hold-out rows, there are {len(labels):,}"
            raise IntegrityError(f"{outputs.predictions}: {answers}; `dvc repro` makes it anew")
        return {"baseline": name, "baseline_hits": predicted == labels}

    def _check_classes(self, run: TrainedRun, files: ModelFiles) -> None:
        """AnswersError if a model has other images or classes than the hold-out rows."""
        size = self.split.data.images.shape[1:]
        names = self.names
        if (files.shape, files.classes) != (size, len(names)):
            takes = f"takes images {files.shape} and gives {files.classes} classes"
            raise AnswersError(f"{takes}; the hold-out rows are {size} and of {len(names)}")
        if files.class_names != names:
            cure = f"`dvc repro -f -s {run.tags.get('dvc_stage', 'train')}` trains it with these"
            calls = f"it calls its classes {first_names(files.class_names)}"
            raise AnswersError(f"{calls}, params.yaml {first_names(names)}; {cure}")

    def _test_hits(self, network: Network) -> dict[str, Any]:
        """The fields of Evidence on the test rows that are no hold-out rows."""
        test = self.artifacts.read_split("test")
        # all of them, but with `split.holdout_within_test`
        picks = np.flatnonzero(~np.isin(test.rows, self.split.rows))
        data = test.data.take(picks)
        if not len(data):
            return {}
        hits = network.ask(data.images).argmax(axis=1) == data.labels
        return {"test_hits": hits, "test_groups": data.groups}


@dataclass(frozen=True)
class Champions:
    """How the champions answer the rows that the challenger is judged by."""

    holdout: Holdout
    challenger: Contender

    @cached_property
    def registry(self) -> Registry:
        return Registry(self.holdout.project.name)

    def answers(self, version: str) -> Contender:
        """A version's answers, with a finding if it cannot be compared to the challenger."""
        uri = self.registry.uri(version)
        with load_version(uri, threads=self.holdout.project.threads) as champion:
            signature = champion.files.signature
            if signature != self.challenger.signature or self.challenger.finding:
                return Contender(version, signature=signature, finding="images of different sizes")
            columns = column_of_each_class(champion.files.class_names, self.holdout.names)
            if not columns:
                finding = "its classes are called otherwise"
                return Contender(version, signature=signature, finding=finding)
            try:
                probabilities = champion.network.ask(self.holdout.split.data.images)
            except AnswersError as error:
                return Contender(version, signature=signature, finding=str(error))
            rows = read_rows(self.registry, version)
            past = rows.past(self.holdout.hashes) if rows else {}
            return Contender.answering(version, probabilities[:, columns], signature, **past)

    def former(self, champion: str | None) -> dict[str, Paired | str]:
        """The answers of earlier champions, if a check needs them, or why they are left out."""
        promote = self.holdout.project.promote
        limits = promote.max_total_loss, promote.max_sensitivity_loss
        if limits == (None, None) or self.challenger.finding:
            return {}
        # judged once more, a version is no champion before itself
        own = self.challenger.name.removeprefix("version ")
        versions = dict.fromkeys(move.after for move in self.registry.moves())
        return {v: self._paired(v) for v in versions if v and v not in (champion, own)}

    def _paired(self, version: str) -> Paired | str:
        try:
            rows = read_rows(self.registry, version)
        except UsageError:  # the version was deleted
            return BLIND
        if rows is None:
            return UNKNOWN
        hashes = self.holdout.hashes
        unseen = self.holdout.unseen & rows.unseen(hashes)
        if unseen.sum() < (self.holdout.project.promote.min_unseen or 1):
            return FEW
        picks = np.flatnonzero(unseen)
        former_hits = self._former_hits(version, picks)
        if former_hits is None:
            return BLIND
        labels = self.holdout.split.data.labels[picks]
        hits = self._by_class(labels[self.challenger.predicted[picks] == labels])
        return Paired(self._by_class(labels), former_hits, hits, md5_of_hashes(hashes[picks]))

    def _former_hits(self, version: str, picks: Rows) -> Labels | None:
        """By class, as the gate recorded it, or computed now; None if it cannot predict."""
        labels = self.holdout.split.data.labels[picks]
        tags = own_tags(find(self.registry.uri(version)).tags)
        if tags.get("gate_rows") == md5_of_hashes(self.holdout.hashes[picks]):
            with suppress(*DAMAGED):
                hits = np.array(json.loads(tags["gate_right"]), dtype=np.int64)
                rows = self._by_class(labels)
                if hits.shape == rows.shape and (hits >= 0).all() and (hits <= rows).all():
                    return hits
        former = self.answers(version)
        if former.finding:
            return None
        return self._by_class(labels[former.predicted[picks] == labels])

    def _by_class(self, labels: Labels) -> Labels:
        return np.bincount(labels, minlength=len(self.holdout.names))


def column_of_each_class(champion_names: list[str], names: list[str]) -> list[int]:
    """For each class of this project, its column in the other model's output.

    Matched by name; by position if no name matches; empty if only some names match.
    """
    if {*champion_names} == {*names}:
        return [champion_names.index(name) for name in names]
    if {*champion_names} & {*names}:
        return []
    return [*range(len(names))]
