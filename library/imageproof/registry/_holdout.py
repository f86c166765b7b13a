"""The hold-out rows of a split, and how challenger, champions and baseline answer them."""

import json
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from imageproof.artifacts import WORKSPACE, Artifacts
from imageproof.base._class_names import class_numbers
from imageproof.base._dataset import Hits, Labels, Rows, Split
from imageproof.base._inference import Network
from imageproof.base.errors import AnswersError, IntegrityError, UsageError
from imageproof.base.files import md5
from imageproof.base.text import first_names
from imageproof.dvc import provenance
from imageproof.judge._timing import latencies
from imageproof.judge.gate import Contender, Paired, md5_of_hashes
from imageproof.project import Project
from imageproof.registry._champion_checks import column_of_each_class
from imageproof.registry._model_files import GoneError, ModelFiles
from imageproof.registry._seen_rows import Hashes, read_rows, rows_of_split, split_hashes
from imageproof.registry._version import Origin, find_origin, load_version
from imageproof.registry._versions import Registry, TrainedRun

# why a former champion is left out
BLIND = "they cannot answer"
UNKNOWN = "the rows that they have seen are unknown"
FEW = "too few rows are unseen"


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
    def unseen(self) -> Hits:
        """Which rows the challenger has not seen: all but copies of its rows."""
        return rows_of_split(self.artifacts).unseen(self.hashes)

    @cached_property
    def names(self) -> list[str]:
        data = self.project.data
        return data.class_names or class_numbers(data.classes)

    @cached_property
    def registry(self) -> Registry:
        return Registry(self.project.name)

    def challenger(
        self,
        run: TrainedRun,
        files: ModelFiles,
        name: str,
    ) -> dict[str, Any]:
        """The fields of Evidence on its answers; AnswersError if these are unusable."""
        images = self.split.data.images
        if files.class_names != self.names:
            cure = f"`dvc repro -f -s {run.tags.get('dvc_stage', 'train')}` trains it with these"
            calls = f"it calls its classes {first_names(files.class_names)}"
            raise AnswersError(f"{calls}, params.yaml {first_names(self.names)}; {cure}")
        network = files.load(threads=self.project.threads)
        finding, asked = files.inconsistency(images)
        if finding:
            raise AnswersError(finding)
        challenger = Contender.answering(
            name,
            network.ask(images),
            files.signature,
            unseen=self.unseen,
            fit=self.project.data.image.fit,
        )
        fields: dict[str, Any] = {
            "challenger": challenger,
            "asked": f"{asked:,} rows alone, in fives and in one batch",
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
        inputs = provenance.recorded("baseline", self.artifacts.folder.parent).inputs
        if inputs.get(WORKSPACE.split("holdout")) != self.md5:
            finding = "answers to other hold-out rows; `dvc repro baseline` makes it anew"
            raise IntegrityError(f"{outputs.predictions}: {finding}")
        predicted = outputs.read_predictions()["holdout"].argmax(axis=1)
        hits = predicted == self.split.data.labels
        return {"baseline": outputs.read_record().name, "baseline_hits": hits}

    def champion(self, version: str, challenger: Contender) -> Contender:
        """A version's answers, with a finding if it cannot be compared to the challenger."""
        uri = self.registry.uri(version)
        with load_version(uri, threads=self.project.threads) as champion:
            signature = champion.files.signature
            try:
                if signature != challenger.signature:
                    raise AnswersError("images of different sizes, or other numbers of classes")
                columns = column_of_each_class(champion.files.class_names, self.names)
                probabilities = champion.network.ask(self.split.data.images)
            except AnswersError as error:
                return Contender(version, signature=signature, finding=str(error))
            rows = read_rows(champion.origin)
            past = rows.past(self.hashes) if rows else {}
            return Contender.answering(
                version, probabilities[:, columns], signature, fit=champion.fit, **past
            )

    def former(
        self,
        champion: str | None,
        challenger: Contender,
    ) -> dict[str, Paired | str]:
        """The answers of earlier champions, if a check needs them, or why they are left out."""
        promote = self.project.promote
        limits = promote.max_total_loss, promote.max_sensitivity_loss
        if limits == (None, None) or challenger.finding:
            return {}
        # judged once more, a version is no champion before itself
        number = challenger.name.removeprefix("version ")
        versions = dict.fromkeys(move.after for move in self.registry.moves())
        return {
            v: self._paired(v, challenger) for v in versions if v and v not in (champion, number)
        }

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

    def _paired(self, version: str, challenger: Contender) -> Paired | str:
        try:
            origin = find_origin(self.registry.uri(version))
        except (UsageError, IntegrityError):  # the version was deleted, or its run
            return BLIND
        rows = read_rows(origin)
        if rows is None:
            return UNKNOWN
        picks = np.flatnonzero(self.unseen & rows.unseen(self.hashes))
        if len(picks) < (self.project.promote.min_unseen or 1):
            return FEW
        counts = self._by_class(self.split.data.labels[picks])
        rows_md5 = md5_of_hashes(self.hashes[picks])
        former_hits = None
        if origin.splits.get("holdout") == self.md5:
            former_hits = _recorded_hits(origin, rows_md5)
        if former_hits is None:
            former = self.champion(version, challenger)
            if former.finding:
                return BLIND
            former_hits = self._hits(former, picks)
        return Paired(counts, former_hits, self._hits(challenger, picks), rows_md5)

    def _hits(self, model: Contender, picks: Rows) -> Labels:
        """How many of these rows it gets right, by class."""
        labels = self.split.data.labels[picks]
        return self._by_class(labels[model.predicted[picks] == labels])

    def _by_class(self, labels: Labels) -> Labels:
        return np.bincount(labels, minlength=len(self.names))


def _recorded_hits(origin: Origin, rows_md5: str) -> Labels | None:
    """By class, as the gate recorded it of the rows with this md5; None if it did not."""
    with suppress(GoneError):
        record = json.loads(origin.check_gate_record() or "{}")
        if [pair["md5"] for pair in record.get("compared", ())][:1] == [rows_md5]:
            return np.array(record["right"])
    return None
