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
from imageproof.base.dataset import EVALUATED, Labels, Split
from imageproof.base.errors import AnswersError, UsageError
from imageproof.base.inference import ASKED, Network
from imageproof.base.text import first_names
from imageproof.dvc import provenance
from imageproof.judge.gate import Check, Contender, Decision, Evidence, Paired
from imageproof.judge.slices import find_slices
from imageproof.judge.timing import latencies
from imageproof.mlflow.restore import check_training
from imageproof.mlflow.runs import own_tags
from imageproof.outputs import SPLIT_TAGS
from imageproof.project import Project
from imageproof.registry.decision import decide
from imageproof.registry.model_files import ModelFiles
from imageproof.registry.recorded import check_settings, check_splits, commit_origin, data_origin
from imageproof.registry.version import find_origin, load_version
from imageproof.registry.versions import Registry, TrainedRun, find

OTHER_SPLIT = (
    "the champion was trained on another split, and may have seen hold-out rows: then it looks "
    "better than it is"
)
JUDGED_BY = WORKSPACE.validation, WORKSPACE.packed_rows, *map(WORKSPACE.split, EVALUATED)
# what a damaged tag raises
DAMAGED = LookupError, ValueError, OverflowError, RecursionError


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
        if champion and _train_split(self.project, champion) != run.tags[SPLIT_TAGS["train"]]:
            note = "; ".join(filter(None, [decision.note, OTHER_SPLIT]))
            decision = replace(decision, note=note)
        return decision

    def _collect(
        self, run: TrainedRun, files: ModelFiles, name: str, champion: str | None
    ) -> Evidence:
        holdout = Holdout(self.project, Artifacts(self.root), run.tags[SPLIT_TAGS["holdout"]])
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
            slices=find_slices(holdout.artifacts.metadata(holdout.split.rows))[0],
            former=champions.former(champion),
            rows_md5=holdout.md5,
            cpu=machine.cpu(),
            size_mb=files.network.stat().st_size / 1e6,
            data=data_origin(run, self.root),
            commit=commit_origin(run.tags),
            approval=self.approval,
            **answers,
        )


@dataclass(frozen=True)
class Holdout:
    """The hold-out rows, and how a challenger answers them."""

    project: Project
    artifacts: Artifacts
    md5: str

    @cached_property
    def split(self) -> Split:
        return self.artifacts.read_split("holdout")

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
        challenger = Contender.answering(name, network.ask(images), files.signature)
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
            return Contender.answering(version, probabilities[:, columns], signature)

    def former(self, champion: str | None) -> dict[str, Paired | None]:
        """The answers of earlier champions, if a check needs them; None of those that have none."""
        promote = self.holdout.project.promote
        limits = promote.max_total_loss, promote.max_sensitivity_loss
        if limits == (None, None) or self.challenger.finding:
            return {}
        versions = dict.fromkeys(move.after for move in self.registry.moves())
        return {v: self._paired(v) for v in versions if v and v != champion}

    def _paired(self, version: str) -> Paired | None:
        former_hits = self._former_hits(version)
        if former_hits is None:
            return None
        labels = self.holdout.split.data.labels
        hits = self.challenger.predicted == labels
        return Paired(self._by_class(labels), former_hits, self._by_class(labels[hits]))

    def _former_hits(self, version: str) -> Labels | None:
        """By class, as the gate recorded it, or computed now; None if it cannot predict."""
        labels = self.holdout.split.data.labels
        try:
            tags = own_tags(find(self.registry.uri(version)).tags)
        except UsageError:  # the version was deleted
            return None
        if tags.get("gate_rows") == self.holdout.md5:
            with suppress(*DAMAGED):
                hits = np.array(json.loads(tags["gate_right"]), dtype=np.int64)
                rows = self._by_class(labels)
                if hits.shape == rows.shape and (hits >= 0).all() and (hits <= rows).all():
                    return hits
        former = self.answers(version)
        return None if former.finding else self._by_class(labels[former.predicted == labels])

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


def _train_split(project: Project, version: str) -> str | None:
    return find_origin(Registry(project.name).uri(version)).splits.get("train")
