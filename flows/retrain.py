"""The `retrain` flow: train and promote when the data has changed, and say what came of it."""

from collections.abc import Iterable
from typing import Any, Literal

import starting
from abandoned import never_forgotten
from prefect import flow, runtime
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.states import Completed, Failed
from prefect.variables import Variable
from promote import ALREADY_CHAMPION, promote
from train import train

from digits import params, provenance
from digits.errors import DigitsError

EVENT = "digits.retrain"
SEEN = "digits_retrained_data"

Approval = Literal["required", "none"]


@flow(name="retrain")
def retrain(
    models: list[str] | None = None, approval: Approval = "none", force: bool = False
) -> State[None]:
    """Train and promote if data.dvc names other data than the last time this flow finished.

    Emits the event `digits.retrain` with the outcome: `unchanged`, `failed`, `promoted` or
    `refused`. What failed is tried again by the next run.

    Args:
        models: To be promoted, one after the other; default: `models` of params.yaml.
        approval: Whether a person must agree to each promotion.
        force: Retrain on unchanged data too.
    """
    starting.no_traceback()
    data = provenance.data_md5()
    try:
        wanted = models or params.load().models
        with never_forgotten():
            return _retrain(data, wanted, approval, force=force)
    except DigitsError as error:
        return _end("failed", data, {}, str(error))


def _retrain(data: str, models: list[str], approval: Approval, *, force: bool) -> State[None]:
    if not force and Variable.get(SEEN, default=None) == data:
        return _end("unchanged", data, {}, "same data as before")
    trained = train(return_state=True)
    if not trained.is_completed():
        return _end("failed", data, {}, f"train: {trained.message}")
    states = {
        model: promote(model, approval=approval, reason="retrained", return_state=True)
        for model in models
    }
    outcome = _outcome(states.values())
    if outcome != "failed":
        Variable.set(SEEN, data, overwrite=True)
    said = {model: f"{state.name}: {state.message}" for model, state in states.items()}
    return _end(outcome, data, said, "\n".join(f"{model} {text}" for model, text in said.items()))


def _outcome(states: Iterable[State[Any]]) -> str:
    names = {state.name for state in states}
    if names - {"Promoted", "Refused", ALREADY_CHAMPION}:
        return "failed"
    return next((name.lower() for name in ("Promoted", "Refused") if name in names), "unchanged")


def _end(outcome: str, data: str, models: dict[str, str], message: str) -> State[None]:
    """Tell whoever listens, and end the flow run."""
    emit_event(
        EVENT,
        resource={"prefect.resource.id": "digits.champion", "digits.outcome": outcome},
        payload={
            "outcome": outcome,
            "data_md5": data,
            "models": models,
            "message": message,
            "flow_run_id": str(runtime.flow_run.id),
        },
    )
    if outcome == "failed":
        return Failed(message=message)
    return Completed(name=outcome.capitalize(), message=message)
