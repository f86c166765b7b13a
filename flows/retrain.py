"""The `retrain` flow: train and promote when the data has changed, and emit the outcome."""

from collections.abc import Sequence
from typing import Literal

from prefect import flow, runtime
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.states import Completed, Failed
from prefect.variables import Variable

from digits import params
from digits.core import provenance
from digits.core.artifacts import TrainOutputs
from flows.promote import ALREADY_CHAMPION, promote
from flows.support import lifecycle
from flows.support.pages import VERSION, Model
from flows.train import train

Approval = Literal["required", "none"]


@flow(name="retrain", version=VERSION)
def retrain(
    models: Sequence[Model] = (), approval: Approval = "none", force: bool = False
) -> State[None]:
    """Pull, train and promote if data.dvc names other data than this flow last trained on.

    Emits the event `<project>.retrain` with the outcome: `unchanged`, `failed`, `promoted` or
    `refused`. What failed is tried again by the next run. `data_md5` is what the trainings
    recorded.

    Args:
        models: To be promoted, one after the other; none: `models` of params.yaml.
        approval: Whether a person must agree to each promotion.
        force: Retrain on unchanged data too.
    """
    return lifecycle.run_in_project(
        lambda: _retrain(models or params.load().models, approval, force=force),
        on_error=lambda message: _end("failed", "", {}, message),
    )


def _retrain(models: Sequence[str], approval: Approval, *, force: bool) -> State[None]:
    named, seen = provenance.data_md5(), f"{params.project().name}_retrained_data"
    if not force and Variable.get(seen, default=None) == named:
        return _end("unchanged", named, {}, "same data as before")
    trained = train(pull=True, return_state=True)
    if not trained.is_completed():
        return _end("failed", "", {}, f"train: {trained.message}")
    # from the trainings' records: somebody may have pulled another data.dvc meanwhile
    data = ", ".join(sorted({TrainOutputs(name).read_run().tags["data_md5"] for name in models}))
    states = {
        model: promote(model, approval=approval, reason="retrained", return_state=True)
        for model in models
    }
    names = {state.name for state in states.values()}
    outcome = next((n.lower() for n in ("Promoted", "Refused") if n in names), "unchanged")
    if names - {"Promoted", "Refused", ALREADY_CHAMPION}:
        outcome = "failed"
    else:
        Variable.set(seen, data, overwrite=True)
    results = {model: f"{state.name}: {state.message}" for model, state in states.items()}
    message = "\n".join(f"{model} {result}" for model, result in results.items())
    return _end(outcome, data, results, message)


def _end(outcome: str, data: str, models: dict[str, str], message: str) -> State[None]:
    """Emit the event, and give the flow run's last state."""
    project, told = params.project().name, {"outcome": outcome, "data_md5": data, "models": models}
    emit_event(
        f"{project}.retrain",
        resource={"prefect.resource.id": f"{project}.champion", "digits.outcome": outcome},
        payload=told | {"message": message, "flow_run_id": str(runtime.flow_run.id)},
    )
    if outcome == "failed":
        return Failed(message=message)
    return Completed(name=outcome.capitalize(), message=message)
