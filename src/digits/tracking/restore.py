"""Log a training and its evaluation from DVC's outputs, where the store lacks them."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import mlflow
from mlflow import MlflowClient

from digits.core import provenance
from digits.core.artifacts import (
    EVALUATED,
    SPLIT_SUMMARY,
    EvaluateOutputs,
    TrainOutputs,
    split_path,
)
from digits.core.dataset import load_split
from digits.core.errors import DataError
from digits.core.files import ANEW
from digits.params import load as load_params
from digits.tracking import evaluations, logged_model, page, runs, store
from digits.tracking.live import Attempt


class Known(NamedTuple):
    """A finished run of a training, its model, and the SHA-256 of its evaluation."""

    run_id: str
    model_id: str
    evaluation: str = ""


def restore_all() -> None:
    """Log each recorded training, and each evaluation, of which the store does not have all.

    After `dvc pull` on another machine no stage runs, and the store there is empty; or the server
    was away when a stage logged.

    Raises:
        IntegrityError: an output is not what dvc.lock records.
        ServiceError: the store does not answer.
    """
    recorded = [model for model in load_params().models if TrainOutputs(model).run.exists()]
    for model in recorded:
        evaluated = EvaluateOutputs(model)
        expected = evaluations.sha256(evaluated)
        run = known(TrainOutputs(model))
        if run and run.evaluation == expected:
            continue
        if expected:
            provenance.check_outputs([*evaluated.folder.iterdir(), SPLIT_SUMMARY])
        with store.service_errors():
            run = run or restore(model)
            if expected:
                read = provenance.recorded_inputs(f"evaluate@{model}")
                digests = {n: read[split_path(n)] for n in EVALUATED if split_path(n) in read}
                evaluations.log_evaluation(run.run_id, run.model_id, evaluated, digests)
        print(f"{model}: logged again from DVC's outputs")


def log_evaluation(model: str, digests: Mapping[str, str]) -> None:
    """Upload the written evaluation to the model's run; an unknown run is logged again first.

    `digests` maps each split to the md5 of its file. If the server is away, one line says so.
    """
    outputs, attempt = TrainOutputs(model), Attempt()
    attempt(store.connect, patient=False)
    if run := attempt(lambda: known(outputs) or restore(model)):
        evaluated = EvaluateOutputs(model)
        attempt(lambda: evaluations.log_evaluation(run.run_id, run.model_id, evaluated, digests))


def known(outputs: TrainOutputs) -> Known | None:
    """This training among the project's finished runs, or None.

    The run is the recorded one, or one that was restored from it.
    """
    record = outputs.read_run()
    own = store.connect()
    with store.service_errors():
        # under `mlflow run` it was logged in any experiment, but in none of another project's
        experiments = mlflow.search_experiments()
        ids = [own, *(each.experiment_id for each in experiments if page.TAG not in each.tags)]
        # a run that is not finished was interrupted, or lacks what a server did not get
        condition = "attributes.status = 'FINISHED' and "
        found = runs.find(f"{condition}attributes.run_id = '{record.run_id}'", *ids)
        if found:
            model_id = record.model_id or logged_model.of_run(record.run_id)
        elif found := runs.find(f"{condition}tags.restored_from = '{record.run_id}'", *ids):
            model_id = found[-1].data.tags["model_id"]
        else:
            return None
    run = found[-1]
    return Known(run.info.run_id, model_id, run.data.tags.get(evaluations.SHA256, ""))


def restore(model: str, root: Path = Path()) -> Known:
    """Log the recorded training in the project `root` as a new run tagged `restored_from`.

    Raises:
        DataError: an output of the training, or a validation row as an example, is missing.
        IntegrityError: an output of the training is not what dvc.lock records.
    """
    outputs = TrainOutputs(model, root)
    provenance.check_outputs(outputs.folder.iterdir())
    record = outputs.read_run()
    logged = (outputs.model, outputs.keras, outputs.calibration)
    if missing := [path for path in logged if not path.is_file()]:
        raise DataError(*(f"{path}: not found; {ANEW}" for path in missing))
    example = load_split(root / split_path("validation")).data.images[:1]
    cost = {k: v for k, v in outputs.read_metrics().items() if k != "parameters"}
    epochs = enumerate(outputs.read_history())
    history = [each for epoch, metrics in epochs for each in runs.metrics_at(epoch, metrics)]
    with runs.active_run(
        record.name,
        what=f"Logged again from DVC's files; trained as run `{record.run_id}`.",
        params=record.params,
        tags={**record.tags, "restored_from": record.run_id},
        system_metrics=False,
    ) as active:
        run_id = active.info.run_id
        runs.send(run_id, history)
        runs.log_text(record.params_yaml, runs.PARAMS_FILE)
        runs.log_datasets(run_id, record.datasets)
        model_id = logged_model.log(run_id, outputs, example=example, metrics=cost)
        MlflowClient().set_tag(run_id, "model_id", model_id)
    return Known(run_id, model_id)
