"""Log a training and its evaluation from DVC's outputs, where the store lacks them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run, RunTag

from imageproof.artifacts import WORKSPACE, Artifacts
from imageproof.base.dataset import EVALUATED
from imageproof.base.errors import DataError, IntegrityError
from imageproof.base.files import REBUILD_HINT, flatten, folder_sha256
from imageproof.dvc import provenance
from imageproof.mlflow import logged_model, page, runs, store
from imageproof.mlflow.live import Attempt
from imageproof.outputs import EvaluateOutputs, Metrics, RunRecord, TrainOutputs
from imageproof.pages.colours import colour_of
from imageproof.project import Project
from imageproof.system.process import SOURCES

ANSWER_SETS = {  # names in MLflow, and in confidence.json
    **{"coverage": "coverage", "coverage_lower": "lower", "coverage_upper": "upper"},
    **{"mean_set_size": "mean_size", "unsure": "unsure"},
}
UNCOMMITTED = "from the run cache, or of a training without a server: no commit records them"
RESTORED_FROM = runs.tag("restored_from")
EVALUATION_SHA256 = runs.tag("evaluation_sha256")  # tag of a run that has all of an evaluation


def restore_all(project: Project) -> None:
    """Log each recorded training, and each evaluation, of which the store does not have all.

    IntegrityError if an output is not what dvc.lock records.
    """
    for model in project.models:
        trained, evaluated = WORKSPACE.trained(model), WORKSPACE.evaluated(model)
        if not trained.run.exists():
            continue
        stage = f"evaluate@{model}"
        read = provenance.recorded_inputs(stage)
        evaluates = provenance.folder_md5(trained.folder, provenance.recorded_outputs())
        expected = _evaluation_sha256(evaluated)
        if read.get(trained.folder, evaluates) != evaluates:
            print(f"warning: {stage}: is of another training; `dvc repro {stage}` makes it anew")
            expected = ""
        run = known(trained, project)
        if run and expected in ("", run.data.tags.get(EVALUATION_SHA256)):
            continue
        if expected:
            provenance.check_outputs([*evaluated.folder.iterdir(), WORKSPACE.split_summary])
        with store.service_errors():
            run = run or restore(model, project)
            if expected:
                digests = {n: read[p] for n in EVALUATED if (p := WORKSPACE.split(n)) in read}
                _log_evaluation(run, evaluated, digests)
        print(f"{model}: logged again from DVC's outputs")


def log_evaluation(model: str, digests: Mapping[str, str], project: Project) -> None:
    """Upload the written evaluation to the model's run; an unknown run is logged again first."""
    outputs, attempt = WORKSPACE.evaluated(model), Attempt()
    attempt(lambda: store.connect(project.name), patient=False)
    if run := attempt(lambda: known(WORKSPACE.trained(model), project) or restore(model, project)):
        attempt(lambda: _log_evaluation(run, outputs, digests))


def known(outputs: TrainOutputs, project: Project) -> Run | None:
    """The finished run of this training in the project, or the last one restored from it."""
    own, trained = store.connect(project.name), outputs.read_run().run_id
    with store.service_errors():
        # under `mlflow run` it was logged in any experiment, but in none of another project's
        experiments = mlflow.search_experiments()
        ids = [
            own,
            *(each.experiment_id for each in experiments if page.view_tag() not in each.tags),
        ]
        for same in (f"attributes.run_id = '{trained}'", f"tags.`{RESTORED_FROM}` = '{trained}'"):
            # one that is not finished was interrupted, or lacks what a server did not get
            if found := runs.find(f"attributes.status = 'FINISHED' and {same}", *ids):
                return found[0]
    return None


def restore(model: str, project: Project, root: Path = Path()) -> Run:
    """Log the recorded training in the folder `root` as a new run tagged `restored_from`.

    DataError if an output is missing, IntegrityError if it is not what dvc.lock records.
    """
    outputs = Artifacts(root).trained(model)
    provenance.check_outputs(outputs.folder.iterdir())
    record = outputs.read_run()
    foreign = root == Path() and not provenance.is_committed(outputs.run)
    _check_record(record, project, model, root)
    tags = {**record.tags, runs.TRAINING: record.run_id, "restored_from": record.run_id}
    tags["colour"] = colour_of(model, project.models)
    if foreign:
        tags["outputs"] = UNCOMMITTED
    recorded = provenance.recorded_outputs(root)
    needed = [outputs.model, outputs.calibration]
    needed += [outputs.keras] if WORKSPACE.trained(model).keras in recorded else []
    if missing := [path for path in needed if not path.is_file()]:
        raise DataError(*(f"{path}: not found; {REBUILD_HINT}" for path in missing))
    example = Artifacts(root).read_split("validation").data.images[:1]
    cost = {k: v for k, v in outputs.read_metrics().items() if k != "parameters"}
    epochs = enumerate(outputs.read_history())
    history = [each for epoch, metrics in epochs for each in runs.metrics_at(epoch, metrics)]
    what = f"Logged again from DVC's files; trained as run `{record.run_id}`."
    with runs.active_run(
        record.name, what=what, params=record.params, tags=tags, experiment=project.name
    ) as active:
        run_id = active.info.run_id
        runs.send(run_id, history)
        runs.log_text(record.params_yaml, runs.PARAMS_FILE)
        runs.log_datasets(run_id, record.datasets, WORKSPACE.split)
        logged_model.log(run_id, outputs, project, example=example, metrics=cost)
    return MlflowClient().get_run(run_id)


def check_training(run_id: str, tags: Mapping[str, str], project: Project, root: Path) -> None:
    """Raise IntegrityError if dvc.lock in `root` records other params, data or code than a run had.

    `tags` are the run's. A run whose outputs are not in `root` is not checked.
    """
    model = tags.get("model", "")
    outputs = Artifacts(root).trained(model)
    if outputs.run.is_file():
        record = outputs.read_run()
        if record.run_id in (run_id, tags.get(runs.TRAINING)):
            _check_record(record, project, model, root)


def _check_record(run: RunRecord, project: Project, model: str, root: Path) -> None:
    """Raise IntegrityError if a record, or the code of its commit, contradicts dvc.lock."""
    stage = run.tags.get("dvc_stage", "")  # a framework may have its own
    if not provenance.wrote(stage, WORKSPACE.trained(model).model, root):
        stage = f"train@{model}"
    inputs = provenance.recorded_inputs(stage, root)
    recorded = flatten(provenance.recorded_params(stage, root))
    said = {str(WORKSPACE.split(split)): digest for split, digest in run.datasets.items()}
    said |= {project.logged_as.get(k, f"train.{model}.{k}"): v for k, v in run.params.items()}
    recorded |= {str(p): digest for p, digest in inputs.items() if p.suffix == ".npz"}
    findings = [
        f"{name} was {said[name]}, dvc.lock records {value}"
        for name, value in recorded.items()
        if said.get(name, value) != value
    ]
    commit = run.tags.get("git_commit")
    code = {p: md5 for p, md5 in inputs.items() if p.parts[0] in SOURCES or p.suffix == ".py"}
    if code and commit and run.tags.get("git_dirty") == "false":
        committed = provenance.committed_md5s(commit, [*code])
        findings += [
            f"dvc.lock records another {path} than its commit {commit[:12]} has"
            for path, digest in code.items()
            if committed.get(path, digest) != digest
        ]
    if findings:
        cure = f"`dvc repro -f {stage}` trains it here"
        raise IntegrityError(*(f"{stage}: of its recorded training, {x}; {cure}" for x in findings))


def _evaluation_sha256(outputs: EvaluateOutputs) -> str:
    return folder_sha256(outputs.folder) if outputs.metrics.exists() else ""


def _log_evaluation(run: Run, outputs: EvaluateOutputs, digests: Mapping[str, str]) -> None:
    """Upload what `evaluate` wrote to a finished run, the tag EVALUATION_SHA256 at last."""
    client, run_id = MlflowClient(), run.info.run_id
    client.log_artifacts(run_id, str(outputs.folder))
    for split in EVALUATED:
        picture = mlflow.Image(str(outputs.matrix_picture(split)))
        client.log_image(run_id, picture, key=f"{split}_confusion_matrix", step=0)
    runs.log_datasets(run_id, digests, WORKSPACE.split)
    metrics, model, rows = [], runs.model_id(run), WORKSPACE.read_split_summary()["rows"]
    for split, of_split in _evaluation_metrics(outputs, rows).items():
        of: dict[str, Any] = {"model_id": model}
        if split in digests:
            of |= {"dataset_name": split, "dataset_digest": digests[split]}
        metrics += [runs.metric(key, value, **of) for key, value in of_split.items()]
    client.log_batch(run_id, metrics, tags=[RunTag(EVALUATION_SHA256, _evaluation_sha256(outputs))])


def _evaluation_metrics(outputs: EvaluateOutputs, rows: Mapping[str, int]) -> dict[str, Metrics]:
    from imageproof.judge.caret import weakest  # it loads SciPy

    metrics = {split: {f"{split}_rows": float(n)} for split, n in rows.items()}
    statistics, confidence = outputs.read_statistics(), outputs.read_confidence()
    for split, scores in outputs.read_metrics().items():
        figures = scores | statistics[split]["overall"] | {"coverage_asked": confidence["asked"]}
        figures |= {name: confidence[split][key] for name, key in ANSWER_SETS.items()}
        _, figures["weakest_sensitivity"] = weakest(statistics[split]["by_class"])
        metrics[split] |= {f"{split}_{k}": v for k, v in figures.items() if v is not None}
    test = metrics["test"]
    # MLflow's bars begin at 0 and show two decimals: accuracies would look alike
    test["test_error_percent"] = 100 * (1 - test["test_accuracy"])
    test |= {f"behaviour_{name}": value for name, value in outputs.read_behaviour().items()}
    return metrics
