"""The evidence for the gate: both models' predictions for the hold-out rows, the run's origin."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imageproof.artifacts import WORKSPACE, Artifacts
from imageproof.base import machine
from imageproof.base.dataset import (
    EVALUATED,
    Dataset,
    Labels,
    Probabilities,
    Shape,
    Split,
)
from imageproof.base.errors import AnswersError, UsageError
from imageproof.base.inference import ASKED, Network
from imageproof.base.text import first_names
from imageproof.dvc import provenance
from imageproof.judge.confidence import answer_sets, coverage_p_value, measure, threshold
from imageproof.judge.gate import Check, Contender, Decision, Facts
from imageproof.judge.groups import independent
from imageproof.judge.slices import find_slices
from imageproof.judge.timing import latencies
from imageproof.mlflow.restore import check_training
from imageproof.mlflow.runs import own_tags
from imageproof.outputs import SPLIT_TAGS
from imageproof.project import Project
from imageproof.registry.gate_checks import decide, right_by_class
from imageproof.registry.model_files import ModelFiles
from imageproof.registry.recorded import (
    check_settings,
    check_splits,
    commit_finding,
    data_finding,
)
from imageproof.registry.served import served
from imageproof.registry.versions import Registry, TrainedRun, find

OTHER_SPLIT = (
    "the champion was trained on another split, and may have seen hold-out rows: then it looks "
    "better than it is"
)


def judge_by_holdout(
    run: TrainedRun,
    files: ModelFiles,
    name: str,
    champion: str | None,
    *,
    project: Project,
    root: Path = Path(),
    approval: Check | None = None,
) -> Decision:
    """Let challenger and champion predict the same hold-out rows, and apply the gate's checks.

    `root` is the project's folder, or one with an experiment's outputs. IntegrityError if the
    hold-out rows are not those of the run's split, or a file is gone or not as recorded.
    """
    judged_by = [WORKSPACE.validation, WORKSPACE.packed_rows, *map(WORKSPACE.split, EVALUATED)]
    provenance.check_outputs(judged_by, root)
    check_splits(run, root)
    check_settings(root)
    check_training(run.run_id, run.tags, project, root)
    artifacts, threads = Artifacts(root), project.threads
    split = artifacts.read_split("holdout")
    holdout, rows = split.data, np.bincount(split.data.labels)
    names = project.data.class_names or [*map(str, range(project.data.classes))]
    registry, rows_md5 = Registry(project.name), run.tags[SPLIT_TAGS["holdout"]]
    answers: dict[str, Any] = {"latency_ms": {}}
    try:
        _check_classes(run, files, holdout.images.shape[1:], names)
        network = files.load(threads=threads)
        challenger, answers = _ask(network, files, name, holdout, project)
        answers |= _on_test(network, split, artifacts.read_split("test"))
    except AnswersError as error:
        challenger = Contender(name, None, files.signature, str(error))

    trained_on: dict[str, str | None] = {}  # md5 of the training split, by version

    def opponent(version: str) -> Contender:
        """Without predictions if it cannot be compared to the challenger."""
        with served(registry.uri(version), threads=threads) as model:
            trained_on[version] = model.origin.splits.get("train")
            signature = model.files.signature
            if signature != challenger.signature or challenger.finding:
                return Contender(version, None, signature)
            if not (order := _in_order(model.files.class_names, names)):
                return Contender(version, None, signature, "its classes are called otherwise")
            try:
                probabilities = model.network.ask(holdout.images)[:, order]
            except AnswersError as error:
                return Contender(version, None, signature, str(error))
            return Contender.answering(version, probabilities, holdout.labels, signature)

    def former_right(version: str) -> Labels | None:
        """By class, as the gate recorded it, or computed now; None if it cannot predict."""
        with suppress(UsageError):  # the version was deleted
            tags = own_tags(find(registry.uri(version)).tags)
            if tags.get("gate_rows") == rows_md5:
                with suppress(LookupError, ValueError, OverflowError, RecursionError):  # damaged
                    right = np.array(json.loads(tags["gate_right"]), dtype=np.int64)
                    if right.shape == rows.shape and (right >= 0).all() and (right <= rows).all():
                        return right
            if (predicted := opponent(version).predicted) is not None:
                return right_by_class(predicted == holdout.labels, holdout.labels)
        return None

    former: dict[str, Labels | None] = {}
    limits = project.promote.max_total_loss, project.promote.max_sensitivity_loss
    if limits != (None, None) and not challenger.finding:
        versions = dict.fromkeys(move.after for move in registry.moves())
        former = {v: former_right(v) for v in versions if v and v != champion}
    facts = Facts(
        cpu=machine.cpu(),
        size_mb=files.network.stat().st_size / 1e6,
        data_md5=run.tags.get("data_md5", ""),
        data_finding=data_finding(run, root),
        commit=run.tags.get("git_commit", ""),
        commit_finding=commit_finding(run.tags),
        **answers,
    )
    decision = decide(
        challenger,
        opponent(champion) if champion else None,
        holdout.labels,
        facts,
        params=project.promote,
        former=former,
        names=names,
        slices=find_slices(artifacts.metadata(split.rows))[0],
        groups=holdout.groups,
        approval=approval,
        rows_md5=rows_md5,
    )
    if champion and trained_on[champion] != run.tags[SPLIT_TAGS["train"]]:
        decision = replace(decision, note="; ".join(filter(None, [decision.note, OTHER_SPLIT])))
    return decision


def _check_classes(run: TrainedRun, files: ModelFiles, size: Shape, names: Sequence[str]) -> None:
    """AnswersError if a model has other images or classes than the hold-out rows."""
    if (files.shape, files.classes) != (size, len(names)):
        takes = f"takes images {files.shape} and gives {files.classes} classes"
        raise AnswersError(f"{takes}; the hold-out rows are {size} and of {len(names)}")
    if files.class_names != names:
        cure = f"`dvc repro -f -s {run.tags.get('dvc_stage', 'train')}` trains it with these"
        calls = f"it calls its classes {first_names(files.class_names)}"
        raise AnswersError(f"{calls}, params.yaml {first_names(names)}; {cure}")


def _ask(
    network: Network, files: ModelFiles, name: str, holdout: Dataset, project: Project
) -> tuple[Contender, dict[str, Any]]:
    """The challenger with its answers to the hold-out rows, and fields of Facts on them."""
    if finding := files.inconsistency(holdout.images):
        raise AnswersError(finding)
    probabilities = network.ask(holdout.images)
    asked = f"{min(ASKED, len(holdout)):,} rows alone, in fives and in one batch"
    signature = files.signature
    truth = files.calibration.truth_probabilities
    challenger = Contender.answering(
        name, probabilities, holdout.labels, signature, holdout.groups, asked
    )
    answers: dict[str, Any] = {"latency_ms": {}}
    answers |= _on_holdout(probabilities, holdout, truth, project.confidence.coverage)
    if (limit := project.promote.max_latency_ms) is not None:
        pyfunc = files.load_as_served().predict
        answers["latency_ms"] = latencies(pyfunc, holdout.images, limit_ms=limit)
    return challenger, answers


def _in_order(theirs: list[str], ours: list[str]) -> list[int]:
    """For each class of this project, its column in the other model's output.

    Matched by name; by position if no name matches; empty if only some names match.
    """
    if {*theirs} == {*ours}:
        return [theirs.index(name) for name in ours]
    return [] if {*theirs} & {*ours} else [*range(len(ours))]


def _on_holdout(
    probabilities: Probabilities, holdout: Dataset, truth: NDArray[np.float32], asked: float
) -> dict[str, float]:
    """The fields of Facts on answer sets; `truth` is that of `outputs.Calibration`."""
    sets = answer_sets(probabilities, threshold(truth, asked))
    found = measure(sets, holdout.labels)
    held = sets[np.arange(len(holdout)), holdout.labels]
    n = round(independent(held, holdout.groups) * len(holdout))
    covered = round(found.coverage * n)
    p_value = coverage_p_value(covered, n, validation_rows=len(truth), coverage=asked)
    shares = {"coverage": found.coverage, "unsure": found.unsure}
    return shares | {"coverage_asked": asked, "coverage_p_value": p_value}


def _on_test(network: Network, holdout: Split, test: Split) -> dict[str, float]:
    """The fields of Facts on the test rows that are no hold-out rows."""
    others = ~np.isin(test.rows, holdout.rows)  # all, but with `split.holdout_within_test`
    rows = test.data.take(np.flatnonzero(others))
    right = network.ask(rows.images).argmax(axis=1) == rows.labels
    share = independent(right, rows.groups) if len(rows) else 1.0
    return {"test_right": right.sum() * share, "test_rows": len(rows) * share}
