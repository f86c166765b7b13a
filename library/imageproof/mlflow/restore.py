"""Log a training and its evaluation from DVC's outputs, where the store lacks them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run, RunTag

from imageproof.artifacts import WORKSPACE, Artifacts
from imageproof.base._dataset import EVALUATED, Metrics
from imageproof.base.errors import DataError, IntegrityError
from imageproof.base.files import REBUILD_HINT, flatten, folder_sha256, parse_yaml
from imageproof.dvc import provenance
from imageproof.dvc._stage_inputs import check_inputs
from imageproof.dvc.params_yaml import get_by_path
from imageproof.mlflow import _logged_model, _page, _runs, _store
from imageproof.mlflow.live import BestEffort
from imageproof.outputs import EvaluateOutputs, RunRecord, TrainOutputs
from imageproof.pages._colours import colour_of
from imageproof.project import Project
from imageproof.system._process import SOURCES

UNCOMMITTED = "from the run cache, or of a training without a server: no commit records them"
RESTORED_FROM = _runs.tag("restored_from")
EVALUATION_SHA256 = _runs.tag("evaluation_sha256")  # tag of a run that has all of an evaluation


def restore_all(project: Project) -> None:
    """Log each recorded training, and each evaluation, of which the store does not have all.

    An evaluation of another training is left out with a warning. IntegrityError if an output is not
    what dvc.lock records.
    """
    for model in project.models:
        if WORKSPACE.trained(model).run.exists():
            _restore_missing(model, project)


def _restore_missing(model: str, project: Project) -> None:
    trained = WORKSPACE.trained(model)
    evaluated = WORKSPACE.evaluated(model)
    stage = f"evaluate@{model}"
    inputs = provenance.recorded(stage).inputs
    training = provenance.folder_md5(trained.folder, provenance.recorded_outputs())
    expected = _evaluation_sha256(evaluated)
    if inputs.get(trained.folder, training) != training:
        print(f"warning: {stage}: is of another training; `dvc repro {stage}` makes it anew")
        expected = ""
    run = find_run(trained, project)
    if run and expected in ("", run.data.tags.get(EVALUATION_SHA256)):
        return
    if expected:
        provenance.check_outputs([*evaluated.folder.iterdir(), WORKSPACE.split_summary])
    with _store.service_errors():
        run = run or restore(model, project)
        if expected:
            paths = {split: WORKSPACE.split(split) for split in EVALUATED}
            digests = {split: inputs[path] for split, path in paths.items() if path in inputs}
            _log_evaluation(run, evaluated, digests)
    print(f"{model}: logged again from DVC's outputs")


def log_evaluation(model: str, project: Project) -> None:
    """Upload the written evaluation to the model's run; an unknown run is logged again first.

    IntegrityError if what the stage depends on has changed: then the run gets no figures.
    """
    check_inputs()
    digests = WORKSPACE.split_md5s(EVALUATED)
    attempt = BestEffort()
    trained = WORKSPACE.trained(model)
    attempt(lambda: _store.connect(project.name), patient=False)
    if run := attempt(lambda: find_run(trained, project) or restore(model, project)):
        attempt(lambda: _log_evaluation(run, WORKSPACE.evaluated(model), digests))


def find_run(outputs: TrainOutputs, project: Project) -> Run | None:
    """The finished run of this training in the project, or the last one restored from it."""
    run_id = outputs.read_run().run_id
    experiment_ids = [_store.connect(project.name)]
    with _store.service_errors():
        # under `mlflow run` it was logged in any experiment, but in none of another project's
        experiments = mlflow.search_experiments()
        experiment_ids += [e.experiment_id for e in experiments if _page.view_tag() not in e.tags]
        for key in ("attributes.run_id", f"tags.`{RESTORED_FROM}`"):
            # one that is not finished was interrupted, or lacks what a server did not get
            finished = f"attributes.status = 'FINISHED' and {key} = '{run_id}'"
            if hits := _runs.find(finished, *experiment_ids):
                return hits[0]
    return None


def restore(model: str, project: Project, root: Path = Path()) -> Run:
    """Log the recorded training in the folder `root` as a new run tagged `restored_from`.

    DataError if an output is missing, IntegrityError if it is not what dvc.lock records.
    """
    artifacts = Artifacts(root)
    outputs = artifacts.trained(model)
    provenance.check_outputs(outputs.folder.iterdir())
    record = outputs.read_run()
    _check_record(record, model, root)
    files = [outputs.model, outputs.keras, outputs.calibration, outputs.metrics]
    if missing := [path for path in files if not path.is_file()]:
        raise DataError(*(f"{path}: not found; {REBUILD_HINT}" for path in missing))
    example = artifacts.read_split("validation").data.images[:1]
    epochs = enumerate(outputs.read_history(), 1)
    tags = {**record.tags, _runs.TRAINING: record.run_id, "restored_from": record.run_id}
    tags["colour"] = colour_of(model, project.models)
    if root == Path() and not provenance.is_committed(outputs.run):
        tags["outputs"] = UNCOMMITTED
    with _runs.active_run(
        record.name,
        description=f"Logged again from DVC's files; trained as run `{record.run_id}`.",
        params=record.params,
        tags=tags,
        experiment=project.name,
    ) as active:
        run_id = active.info.run_id
        _runs.send(run_id, [m for epoch in epochs for m in _runs.metrics_at(*epoch)])
        mlflow.log_text(record.params_yaml, _runs.PARAMS_FILE)
        _runs.log_datasets(run_id, record.datasets)
        _logged_model.log(run_id, outputs, project, example=example)
    return MlflowClient().get_run(run_id)


def check_training(run_id: str, tags: Mapping[str, str], root: Path) -> None:
    """Raise IntegrityError if dvc.lock in `root` records other params, data or code than a run had.

    `tags` are the run's. A run whose outputs are not in `root` is not checked.
    """
    model = tags.get("model", "")
    outputs = Artifacts(root).trained(model)
    if outputs.run.is_file():
        record = outputs.read_run()
        if record.run_id in (run_id, tags.get(_runs.TRAINING)):
            _check_record(record, model, root)


def _check_record(run: RunRecord, model: str, root: Path) -> None:
    """Raise IntegrityError if a record, or the code of its commit, contradicts dvc.lock."""
    stage = run.tags.get("dvc_stage", "")  # a framework may have its own
    if WORKSPACE.trained(model).model not in provenance.recorded(stage, root).outputs:
        stage = f"train@{model}"
    recorded = provenance.recorded(stage, root)
    inputs = recorded.inputs
    params = parse_yaml(run.params_yaml)
    facts = flatten({key: get_by_path(params, key) for key in recorded.values})
    lock = flatten(recorded.values)
    for split, digest in run.datasets.items():
        path = WORKSPACE.split(split)
        facts[str(path)] = digest
        lock[str(path)] = inputs.get(path, digest)
    findings = [
        f"{name} was {facts.get(name)}, dvc.lock records {lock.get(name)}"
        for name in facts | lock
        if facts.get(name) != lock.get(name)
    ]
    commit = run.tags.get("git_commit")
    if commit and run.tags.get("git_dirty") == "false":
        findings += _code_findings(inputs, commit)
    if findings:
        start = f"{stage}: its recorded training contradicts dvc.lock"
        cure = f"`dvc repro -f {stage}` trains it here"
        raise IntegrityError(*(f"{start}: {finding}; {cure}" for finding in findings))


def _code_findings(inputs: Mapping[Path, str], commit: str) -> list[str]:
    """The code among the inputs of a stage that the commit, if it is here, has not."""
    code = [path for path in inputs if path.parts[0] in SOURCES or path.suffix == ".py"]
    committed = provenance.committed_md5s(commit, code)
    lacking = f"its commit {commit[:12]} lacks {{}}; `git add --force` takes in what git ignores"
    other = f"dvc.lock records another {{}} than its commit {commit[:12]} has"
    return [
        (other if path in committed else lacking).format(path)
        for path in code
        if committed and committed.get(path) != inputs[path]
    ]


def _evaluation_sha256(outputs: EvaluateOutputs) -> str:
    return folder_sha256(outputs.folder) if outputs.metrics.exists() else ""


def _log_evaluation(
    run: Run,
    outputs: EvaluateOutputs,
    digests: Mapping[str, str],
) -> None:
    """Upload what `evaluate` wrote to a finished run, the tag EVALUATION_SHA256 at last."""
    client = MlflowClient()
    run_id = run.info.run_id
    client.log_artifacts(run_id, str(outputs.folder))
    for split in EVALUATED:
        picture = mlflow.Image(str(outputs.matrix_picture(split)))
        client.log_image(run_id, picture, key=f"{split}_confusion_matrix", step=0)
    _runs.log_datasets(run_id, digests)
    metrics = []
    for split, figures in _evaluation_metrics(outputs).items():
        owners: dict[str, Any] = {"model_id": _runs.model_id(run)}
        if split in digests:
            owners |= {"dataset_name": split, "dataset_digest": digests[split]}
        metrics += [_runs.metric(key, value, **owners) for key, value in figures.items()]
    baseline = RunTag(_runs.tag("baseline"), outputs.read_baseline()["name"])
    whole = RunTag(EVALUATION_SHA256, _evaluation_sha256(outputs))
    client.log_batch(run_id, metrics, tags=[baseline, whole])


def _evaluation_metrics(outputs: EvaluateOutputs) -> dict[str, Metrics]:
    """What MLflow gets of an evaluation, by split."""
    from imageproof.judge._caret import weakest  # it loads SciPy

    rows = WORKSPACE.read_split_summary()["rows"]
    statistics = outputs.read_statistics()
    confidence = outputs.read_confidence()
    baseline = outputs.read_baseline()
    figures: dict[str, dict[str, Any]] = {split: {"rows": count} for split, count in rows.items()}
    for split, scores in outputs.read_metrics().items():
        values = figures[split]
        values |= statistics[split].overall | {"coverage_asked": confidence["asked"]}
        values |= confidence[split]
        values |= {f"baseline_{name}": value for name, value in baseline[split].items()}
        _, values["weakest_sensitivity"] = weakest(statistics[split].by_class)
        values |= scores  # a project's own may have the name of one of these
    # MLflow's bars begin at 0 and show two decimals: accuracies would look alike
    figures["test"]["error_percent"] = 100 * (1 - figures["test"]["accuracy"])
    metrics = {
        split: {f"{split}_{name}": value for name, value in values.items() if value is not None}
        for split, values in figures.items()
    }
    metrics["test"] |= {f"behaviour_{k}": v for k, v in outputs.read_behaviour().items()}
    return metrics
