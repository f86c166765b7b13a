"""The hold-out rows of a split, and how a challenger and the baseline answer them."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from imageproof.artifacts import Artifacts
from imageproof.base.class_names import class_numbers
from imageproof.base.dataset import Hits, Split
from imageproof.base.errors import AnswersError, IntegrityError
from imageproof.base.inference import Network
from imageproof.base.text import first_names
from imageproof.judge.gate import Contender
from imageproof.judge.timing import latencies
from imageproof.project import Project
from imageproof.registry.model_files import ModelFiles
from imageproof.registry.seen_rows import Hashes, rows_of_split, split_hashes
from imageproof.registry.versions import TrainedRun


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
        return data.class_names or class_numbers(data.classes)

    def ask_challenger(self, run: TrainedRun, files: ModelFiles, name: str) -> dict[str, Any]:
        """The fields of Evidence on its answers; AnswersError if these are unusable."""
        images = self.split.data.images
        self._check_classes(run, files)
        network = files.load(threads=self.project.threads)
        finding, asked = files.inconsistency(images)
        if finding:
            raise AnswersError(finding)
        challenger = Contender.answering(
            name, network.ask(images), files.signature, unseen=self.unseen
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
