"""What the gate judges by: both models' answers to the hold-out rows, and the run's origin."""

from mlflow import MlflowClient
from mlflow.entities import Run

from digits import gate, latency, process, provenance
from digits.data import Dataset
from digits.errors import IntegrityError
from digits.files import md5, read_json
from digits.gate import Candidate, Decision, Facts
from digits.outputs import ROOT, read_split, split_path
from digits.params import Params
from digits.registry.artifacts import fetched
from digits.registry.versions import Trained

VALIDATION = ROOT / "validate" / "result.json"


def judge(
    model: Trained, name: str, champion_uri: str | None, champion: str | None, *, params: Params
) -> Decision:
    """Let both models answer the present hold-out rows, and put the challenger to the gate.

    The champion may have been evaluated on other rows; here both always see the same.

    Raises:
        DataError: the hold-out rows are missing.
        IntegrityError: they are not those of this run's split, a model's files are gone, or an
            output is not what dvc.lock records.
    """
    provenance.check_outputs([VALIDATION])
    run = MlflowClient().get_run(model.run_id)
    holdout = _holdout_of(run)
    facts, challenger = _challenger(model, name, holdout, run, params)
    opponent = None
    if champion_uri and champion:
        opponent = _champion(champion_uri, champion, holdout, challenger.signature, params)
    return gate.judge(challenger, opponent, holdout.labels, facts, params=params.promote)


def _holdout_of(run: Run) -> Dataset:
    """The hold-out rows, which must be disjoint from what the run was trained on."""
    holdout = read_split("holdout").data
    recorded, present = run.data.tags.get("split_md5"), md5(split_path("train"))
    if recorded != present:
        raise IntegrityError(
            f"run {run.info.run_id}: trained on split {recorded}, but {split_path('train')} is "
            f"{present}, so these hold-out rows may be among its training rows; "
            "restore that split (git checkout and dvc checkout), or train on this one"
        )
    return holdout


def _challenger(
    model: Trained, name: str, holdout: Dataset, run: Run, params: Params
) -> tuple[Facts, Candidate]:
    with fetched(model.uri) as files, process.quiet_tensorflow(params.train.threads):
        from digits import inference, saved_model

        predict = inference.predictor(saved_model.load(files.keras))
        predicted = predict(holdout.images).argmax(axis=1)
        answer = latency.measure(predict, holdout.images)
        size_mb, signature = files.size_mb, files.signature
    tags = run.data.tags
    facts = Facts(
        latency_ms=answer.p95_ms,
        size_mb=size_mb,
        data_md5=tags.get("data_md5", ""),
        data_finding=_data_finding(tags.get("data_md5", "")),
        commit=tags.get("git_commit", ""),
        commit_finding=_commit_finding(tags),
    )
    return facts, Candidate(name, predicted, signature)


def _champion(uri: str, name: str, holdout: Dataset, signature: str, params: Params) -> Candidate:
    with fetched(uri) as files, process.quiet_tensorflow(params.train.threads):
        from digits import inference, saved_model

        if files.signature != signature:
            return Candidate(name, None, files.signature)
        predict = inference.predictor(saved_model.load(files.keras))
        predicted = predict(holdout.images).argmax(axis=1)
    return Candidate(name, predicted, files.signature)


def _data_finding(data_md5: str) -> str | None:
    """What is wrong with the validation of the data that a run was trained on."""
    if not data_md5 or provenance.data_md5() != data_md5:
        return f"trained on data {data_md5 or 'unknown'}, data.dvc has {provenance.data_md5()}"
    if not VALIDATION.exists():
        return f"{VALIDATION} not found; `dvc repro validate` makes it"
    result = read_json(VALIDATION)
    return None if result["success"] else f"{result['critical']} critical findings in {VALIDATION}"


def _commit_finding(tags: dict[str, str]) -> str | None:
    """What is wrong with the code that a run was trained from."""
    commit = tags.get("git_commit")
    if not commit:
        return "no commit recorded"
    if tags.get("git_dirty") != "false":
        return f"{commit[:12]} with uncommitted changes"
    return None if provenance.has_commit(commit) else f"{commit[:12]} is unknown here"
