"""What the gate judges by: both models' answers to the hold-out rows, and the run's origin."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run

from digits import params as parameters
from digits.core import process, provenance
from digits.core.artifacts import ROOT, SPLIT_TAGS, split_path
from digits.core.dataset import Dataset, Predict, load_split
from digits.core.errors import IntegrityError, UsageError
from digits.core.files import read_json
from digits.evaluation import gate, latency
from digits.evaluation.gate import Candidate, Decision, Facts, Former
from digits.evaluation.scores import not_probabilities
from digits.params import Params
from digits.registry.artifacts import ModelFiles, fetched
from digits.registry.trace import origin
from digits.registry.versions import Registry, Trained, find, recorded_sha256

VALIDATION = ROOT / "validate" / "result.json"


def judge(
    model: Trained,
    name: str,
    champion_uri: str | None,
    champion: str | None,
    *,
    params: Params,
    root: Path = Path(),
) -> Decision:
    """Let both models answer the run's hold-out rows, and put the challenger to the gate.

    The champion may have been evaluated on other rows; here both always see the same. `root` is
    the project, or a folder that holds an experiment's outputs.

    Raises:
        DataError: the hold-out rows are missing.
        IntegrityError: they are not those of this run's split, a model's files are gone, or an
            output is not what dvc.lock records.
    """
    provenance.check_outputs([VALIDATION, split_path("holdout")], root)
    run = MlflowClient().get_run(model.run_id)
    _check_splits(run, root)
    _check_settings(root)
    holdout = load_split(root / split_path("holdout")).data
    facts, challenger = _challenger(model, name, holdout, run, params, root)
    opponent = None
    if champion_uri and champion:
        opponent = _champion(champion_uri, champion, holdout, challenger, params)
    rows_md5 = run.data.tags[SPLIT_TAGS["holdout"]]
    former: list[Former] = []
    if params.promote.max_total_loss is not None and not challenger.finding:
        former = _former(champion, holdout, rows_md5, challenger, params)
    decision = gate.judge(
        challenger, opponent, holdout.labels, facts, params=params.promote, former=former
    )
    return replace(decision, rows_md5=rows_md5)


def _check_splits(run: Run, root: Path) -> None:
    """That the splits which dvc.lock records are those that the run was trained on."""
    tags, recorded = run.data.tags, provenance.recorded_outputs(root)
    again = f"train it again: `dvc repro -f -s train@{tags.get('model', 'MODEL')}`"
    for split, tag in SPLIT_TAGS.items():
        path = split_path(split)
        if tag not in tags:
            raise IntegrityError(
                f"run {run.info.run_id}: did not record the md5 of {path}, "
                f"so nothing proves that these rows are its own; {again}"
            )
        if tags[tag] != recorded.get(path):
            raise IntegrityError(
                f"run {run.info.run_id}: {path} had md5 {tags[tag]}, dvc.lock has "
                f"{recorded.get(path, 'none')}, so hold-out rows may be among its training rows; "
                "bring its split back (git checkout, dvc checkout), promote its experiment "
                f"(--exp NAME), or {again}"
            )


def _check_settings(root: Path) -> None:
    """That the rows were set apart, and the data validated, as params.yaml here says.

    It holds the gate's limits; an experiment that set apart fewer rows could pass them by luck.
    """
    for stage in ("split", "validate"):
        recorded = provenance.recorded_params(stage, root)
        present = {key: parameters.value_of(key) for key in recorded if key != "seed"}
        for key, value in present.items():
            if value != recorded[key]:
                raise IntegrityError(
                    f"{stage}: made with {key} {recorded[key]}, params.yaml has {value}; "
                    "`dvc repro` makes it anew, `dvc exp apply` takes over an experiment's"
                )


def _challenger(
    model: Trained, name: str, holdout: Dataset, run: Run, params: Params, root: Path
) -> tuple[Facts, Candidate]:
    with (
        fetched(model.uri, recorded_sha256(model)) as files,
        process.quiet_tensorflow(params.train.threads),
    ):
        candidate, predict = _candidate(name, files, holdout, params.data.classes)
        size_mb = files.size_mb
    tags = run.data.tags
    facts = Facts(
        latency_ms=latency.measure_latency(predict, holdout.images).p95_ms if predict else math.nan,
        size_mb=size_mb,
        data_md5=tags.get("data_md5", ""),
        data_finding=_data_finding(tags.get("data_md5", ""), root),
        commit=tags.get("git_commit", ""),
        commit_finding=_commit_finding(tags),
    )
    return facts, candidate


def _champion(
    uri: str, name: str, holdout: Dataset, challenger: Candidate, params: Params
) -> Candidate:
    sha256 = origin(find(uri)).model_sha256
    with fetched(uri, sha256) as files, process.quiet_tensorflow(params.train.threads):
        if files.signature != challenger.signature or challenger.finding:
            return Candidate(name, None, files.signature)
        candidate = _candidate(name, files, holdout, files.classes)[0]
    return replace(candidate, predicted=None) if candidate.finding else candidate


def _candidate(
    name: str, files: ModelFiles, holdout: Dataset, classes: int
) -> tuple[Candidate, Predict | None]:
    """The model's classes for the hold-out rows, and how it answers if it can take them."""
    from digits.training import inference

    taken, rows = files.shape, holdout.images.shape[1:]
    if taken != rows or files.classes != classes:
        unfit = (
            f"takes images {taken} and gives {files.classes} classes; "
            f"the hold-out rows are {rows} and of {classes}"
        )
        return Candidate(name, None, files.signature, unfit), None
    predict = inference.predictor(files.load())
    answers = predict(holdout.images)
    finding = not_probabilities(answers)
    return Candidate(name, answers.argmax(axis=1), files.signature, finding), predict


def _former(
    champion: str | None, holdout: Dataset, rows_md5: str, challenger: Candidate, params: Params
) -> list[Former]:
    """The accuracy of each former champion on these rows: as recorded, or by its answers now."""
    registry = Registry(params.registry.name)
    named = dict.fromkeys(move.after for move in registry.moves())
    former = []
    for version in filter(None, named):
        if version == champion:
            continue
        uri, accuracy = registry.uri(version), None
        try:
            accuracy = _recorded_accuracy(uri, rows_md5)
            if accuracy is None:
                answers = _champion(uri, version, holdout, challenger, params).predicted
                accuracy = None if answers is None else float((answers == holdout.labels).mean())
        except UsageError:  # deleted
            pass
        former.append(Former(version, accuracy))
    return former


def _recorded_accuracy(uri: str, rows_md5: str) -> float | None:
    """What the gate found when it judged this version, if on these very rows."""
    tags = find(uri).tags
    if tags.get("gate_rows") != rows_md5:
        return None
    try:
        accuracy = float(json.loads(tags["gate_figures"])["holdout_accuracy"])
    except (LookupError, TypeError, ValueError):  # damaged, or of a gate that did not look
        return None
    return accuracy if 0 <= accuracy <= 1 else None


def _data_finding(data_md5: str, root: Path) -> str | None:
    """What is wrong with the validation of the data that a run was trained on."""
    present = provenance.data_md5(root / provenance.DATA_POINTER)
    if not data_md5 or present != data_md5:
        return f"trained on data {data_md5 or 'unknown'}, data.dvc has {present}"
    if not (root / VALIDATION).exists():
        return f"{VALIDATION} not found; `dvc repro validate` makes it"
    validated = provenance.recorded_data("validate", root)
    if VALIDATION not in provenance.recorded_outputs(root) or validated != data_md5:
        return f"dvc.lock has no validation of data {data_md5}; `dvc repro validate` makes it"
    result = read_json(root / VALIDATION, dict[str, Any], keys=("success", "critical"))
    if result["success"] is True:
        return None
    return f"{result['critical']} critical findings in {VALIDATION}"


def _commit_finding(tags: dict[str, str]) -> str | None:
    """What is wrong with the code that a run was trained from."""
    commit = tags.get("git_commit")
    if not commit:
        return "no commit recorded"
    if tags.get("git_dirty") != "false":
        return f"{commit[:12]} with uncommitted changes; commit them, then train again"
    return None if provenance.has_commit(commit) else f"{commit[:12]} is unknown here"
