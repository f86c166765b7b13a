"""The hold-out rows of a split, and how challenger, champions and baseline answer them."""

import json
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from imageproof.artifacts import WORKSPACE, Artifacts
from imageproof.base import _machine
from imageproof.base._class_names import class_numbers
from imageproof.base._dataset import Labels, Split
from imageproof.base.errors import AnswersError, IntegrityError, UsageError
from imageproof.base.files import md5
from imageproof.base.text import first_names
from imageproof.dvc import provenance
from imageproof.judge._timing import latencies
from imageproof.judge.gate import Contender, Evidence, Paired
from imageproof.project import Project
from imageproof.registry._champion_checks import column_of_each_class
from imageproof.registry._model_files import GoneError, ModelFiles
from imageproof.registry._seen_rows import Hashes, read_rows, rows_of_split, split_hashes
from imageproof.registry._version import Origin, find_origin, load_version
from imageproof.registry._versions import Registry, TrainedRun

BLIND = "they cannot answer"  # why earlier champions are left out


@dataclass(frozen=True)
class Holdout:
    """The hold-out rows, and how models answer them."""

    project: Project
    artifacts: Artifacts

    @cached_property
    def split(self) -> Split:
        return self.artifacts.read_split("holdout")

    @cached_property
    def md5(self) -> str:
        """Of the file, whose images and labels a model's recorded answers belong to."""
        return md5(self.artifacts.split("holdout"))

    @cached_property
    def hashes(self) -> Hashes:
        return split_hashes(self.artifacts, "holdout")

    @cached_property
    def registry(self) -> Registry:
        return Registry(self.project.name)

    def evidence(
        self,
        run: TrainedRun,
        files: ModelFiles,
        name: str,
        champion: str | None,
    ) -> Evidence:
        """What challenger, champions and baseline answer.

        IntegrityError if the baseline answered other rows.
        """
        data = self.split.data
        classes = self.project.data
        unseen = rows_of_split(self.artifacts).unseen(self.hashes)  # all but copies of its rows
        evidence = Evidence(
            challenger=Contender(name, unseen=unseen, fit=classes.image.fit),
            champion=Contender(champion) if champion else None,
            labels=data.labels,
            names=classes.class_names or class_numbers(classes.classes),
            groups=data.groups,
            metadata=self.artifacts.metadata(self.split.rows),
            hashes=self.hashes,
            cpu=_machine.cpu(),
            size_mb=files.network.stat().st_size / 1e6,
            **self._baseline(),
        )
        try:
            evidence = replace(evidence, **self._challenger(run, files, evidence))
        except AnswersError as error:
            return replace(evidence, challenger=Contender(name, finding=str(error)))
        if champion:
            evidence = replace(evidence, champion=self._champion(champion, evidence))
        return replace(evidence, **self._former(evidence))

    def _challenger(
        self,
        run: TrainedRun,
        files: ModelFiles,
        evidence: Evidence,
    ) -> dict[str, Any]:
        """The fields of Evidence on the challenger; AnswersError if its answers are unusable."""
        images = self.split.data.images
        if files.class_names != evidence.names:
            cure = f"`dvc repro -f -s {run.tags.get('dvc_stage', 'train')}` trains it with these"
            calls = f"it calls its classes {first_names(files.class_names)}"
            raise AnswersError(f"{calls}, params.yaml {first_names(evidence.names)}; {cure}")
        network = files.load(threads=self.project.threads)
        finding, rows = files.inconsistency(images)
        if finding:
            raise AnswersError(finding)
        probabilities = network.ask(images)
        test = self.artifacts.read_split("test").data
        fields: dict[str, Any] = {
            "challenger": replace(evidence.challenger, probabilities=probabilities),
            "asked": f"rows: {rows:,}; alone, in fives and in one batch",
            "truth_probabilities": files.calibration.truth_probabilities,
            "coverage": self.project.confidence.coverage,
            "test_hits": network.ask(test.images).argmax(axis=1) == test.labels,
            "test_groups": test.groups,
        }
        if (limit := self.project.promote.max_latency_ms) is not None:
            pyfunc = files.load_as_served().predict
            fields["latency_ms"] = latencies(pyfunc, images, limit_ms=limit)
        return fields

    def _baseline(self) -> dict[str, Any]:
        """The fields of Evidence on the baseline, if a check needs it."""
        if self.project.promote.beats_baseline is None:
            return {}
        outputs = self.artifacts.baseline
        inputs = provenance.recorded("baseline", self.artifacts.folder.parent).inputs
        if inputs.get(WORKSPACE.split("holdout")) != self.md5:
            finding = "answers to other hold-out rows; `dvc repro baseline` makes it anew"
            raise IntegrityError(f"{outputs.predictions}: {finding}")
        predicted = outputs.read_predictions()["holdout"].argmax(axis=1)
        hits = predicted == self.split.data.labels
        return {"baseline": outputs.read_record().name, "baseline_hits": hits}

    def _champion(self, version: str, evidence: Evidence) -> Contender:
        """A version's answers, with a finding if it cannot be compared to the challenger."""
        uri = self.registry.uri(version)
        with load_version(uri, threads=self.project.threads) as champion:
            images = self.split.data.images
            try:
                if champion.files.shape != images.shape[1:]:
                    raise AnswersError("it takes images of another size, or other colours")
                columns = column_of_each_class(champion.files.class_names, evidence.names)
                probabilities = champion.network.ask(images)
            except AnswersError as error:
                return Contender(version, finding=str(error))
            rows = read_rows(champion.origin)
            past = rows.past(self.hashes) if rows else {}
            return Contender(version, probabilities[:, columns], fit=champion.fit, **past)

    def _former(self, evidence: Evidence) -> dict[str, Any]:
        """The fields of Evidence on earlier champions, if a check needs them."""
        promote = self.project.promote
        limits = promote.max_total_loss, promote.max_sensitivity_loss
        if limits == (None, None):
            return {}
        # a version that is judged once more may be among the earlier champions
        present = [model.name for model in (evidence.challenger, evidence.champion) if model]
        former = {}
        reasons: dict[str, list[str]] = {}
        for version in dict.fromkeys(move.after for move in self.registry.moves()):
            if not version or version in present:
                continue
            try:
                former[version] = self._paired(version, evidence)
            except AnswersError as error:
                reasons.setdefault(str(error), []).append(version)
        left_out = "".join(
            f" (left out, as {reason}: version {', '.join(versions)})"
            for reason, versions in reasons.items()
        )
        return {"former": former, "left_out": left_out}

    def _paired(self, version: str, evidence: Evidence) -> Paired:
        """The challenger beside an earlier champion; AnswersError says why that is left out.

        A champion of this hold-out is not asked again if the gate recorded its answers to the rows.
        """
        try:
            origin = find_origin(self.registry.uri(version))
        except (UsageError, IntegrityError):  # the version was deleted, or its run
            raise AnswersError(BLIND) from None
        rows = read_rows(origin)
        if rows is None:
            raise AnswersError("the rows that they have seen are unknown")
        unseen = evidence.challenger.unseen, rows.unseen(self.hashes)
        view = evidence.take(*unseen)
        if len(view.labels) < (self.project.promote.min_unseen or 1):
            raise AnswersError("too few rows are unseen")
        hits = None
        if origin.splits.get("holdout") == self.md5:
            hits = _recorded_hits(origin, view.hashes_md5)
        if hits is None:
            former = self._champion(version, evidence)
            view = replace(evidence, champion=former).take(*unseen)
            if view.champion_hits is None:
                raise AnswersError(BLIND)
            hits = view.by_class(view.champion_hits)
        return view.paired(hits)


def _recorded_hits(origin: Origin, rows_md5: str) -> Labels | None:
    """How many rows of each class the version got right; None if the gate judged it by other rows.

    `rows_md5` is that of the rows' hashes.
    """
    with suppress(GoneError):
        record = json.loads(origin.check_gate_record() or "{}")
        if [pair["md5"] for pair in record.get("compared", ())][:1] == [rows_md5]:
            return np.array(record["right"])
    return None
