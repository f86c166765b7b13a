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
from flows.promote import ALREADY_CHAMPION, promote
from flows.support import lifecycle
from flows.support.pages import VERSION, Model
from flows.train import train

Approval = Literal["required", "none"]


@flow(name="retrain", version=VERSION)
def retrain(models: Sequence[Model] = (), approval: Approval = "none") -> State[None]:
    """Pull, train and promote if data.dvc names other data than this flow last trained on.

    Emits the event `<project>.retrain` with the outcome: `unchanged`, `failed`, `promoted` or
    `refused`. What failed is tried again by the next run.

    Args:
        models: To be promoted, one after the other; none: `models` of params.yaml.
        approval: Whether a person must agree to each promotion.
    """
    return lifecycle.run_in_project(
        lambda: _retrain(models or params.load().models, approval),
        on_error=lambda message: _end("failed", "", {}, message),
    )


def _retrain(models: Sequence[str], approval: Approval) -> State[None]:
    data, seen = provenance.data_md5(), f"{params.project().name}_retrained_data"
    if Variable.get(seen, default=None) == data:
        return _end("unchanged", data, {}, "same data as before")
    trained = train(pull=True, return_state=True)
    if not trained.is_completed():
        return _end("failed", "", {}, f"train: {trained.message}")
    states = {
        model: promote(model, approval=approval, reason="retrained", return_state=True)
        for model in models
    }
    results = {model: f"{state.name}: {state.message}" for model, state in states.items()}
    message = "\n".join(f"{model} {result}" for model, result in results.items())
    names = {state.name for state in states.values()}
    if names - {"Promoted", "Refused", ALREADY_CHAMPION}:
        return _end("failed", data, results, message)
    Variable.set(seen, data, overwrite=True)
    outcome = next((n.lower() for n in ("Promoted", "Refused") if n in names), "unchanged")
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
