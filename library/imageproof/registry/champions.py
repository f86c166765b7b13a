"""How present and former champions answer the rows that a challenger is judged by."""

import json
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from imageproof.base.dataset import Labels, Rows
from imageproof.base.errors import AnswersError, IntegrityError, UsageError
from imageproof.judge.gate import Contender, Paired, md5_of_hashes
from imageproof.registry.holdout import Holdout
from imageproof.registry.seen_rows import read_rows
from imageproof.registry.version import Origin, find_origin, load_version
from imageproof.registry.versions import Registry

# what a damaged tag raises
DAMAGED = LookupError, ValueError, OverflowError, RecursionError
# why a former champion is left out
BLIND = "they cannot answer"
UNKNOWN = "the rows that they have seen are unknown"
FEW = "too few rows are unseen"


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
            rows = read_rows(champion.origin)
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
            origin = find_origin(self.registry.uri(version))
        except (UsageError, IntegrityError):  # the version was deleted, or its run
            return BLIND
        rows = read_rows(origin)
        if rows is None:
            return UNKNOWN
        hashes = self.holdout.hashes
        unseen = self.holdout.unseen & rows.unseen(hashes)
        if unseen.sum() < (self.holdout.project.promote.min_unseen or 1):
            return FEW
        picks = np.flatnonzero(unseen)
        former_hits = self._former_hits(origin, picks)
        if former_hits is None:
            return BLIND
        labels = self.holdout.split.data.labels[picks]
        hits = self._by_class(labels[self.challenger.predicted[picks] == labels])
        return Paired(self._by_class(labels), former_hits, hits, md5_of_hashes(hashes[picks]))

    def _former_hits(self, origin: Origin, picks: Rows) -> Labels | None:
        """By class, as the gate recorded it, or computed now; None if it cannot predict."""
        labels = self.holdout.split.data.labels[picks]
        if origin.gate.get("gate_rows") == md5_of_hashes(self.holdout.hashes[picks]):
            with suppress(*DAMAGED):
                hits = np.array(json.loads(origin.gate["gate_right"]), dtype=np.int64)
                rows = self._by_class(labels)
                if hits.shape == rows.shape and (hits >= 0).all() and (hits <= rows).all():
                    return hits
        former = self.answers(origin.version)
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
