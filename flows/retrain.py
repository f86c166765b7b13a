"""The `retrain` flow: train and promote when the data has changed, and say what came of it."""

from typing import Literal

from prefect import flow, runtime
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.states import Completed, Failed
from prefect.variables import Variable
from promote import promote
from train import train

from digits import params, provenance

EVENT = "digits.retrain"
SEEN = "digits_retrained_data"


@flow(name="retrain")
def retrain(
    models: list[str] | None = None,
    approval: Literal["required", "none"] = "none",
    force: bool = False,
) -> State[None]:
    """Train and promote if data.dvc names other data than the last time this flow finished.

    Emits the event `digits.retrain` with the outcome: `unchanged`, `failed`, `promoted` or
    `refused`.

    Args:
        models: To be promoted, one after the other; default: `models` of params.yaml.
        approval: Whether a person must agree to each promotion.
        force: Retrain on unchanged data too.
    """
    data = provenance.data_md5()
    if not force and Variable.get(SEEN, default=None) == data:
        return _end("unchanged", data, {})
    trained = train(return_state=True)
    if not trained.is_completed():
        return _end("failed", data, {"train": trained.message or ""})
    outcomes = {name: _promoted(name, approval) for name in models or params.load().models}
    Variable.set(SEEN, data, overwrite=True)
    promoted = any(outcome == "promoted" for outcome in outcomes.values())
    return _end("promoted" if promoted else "refused", data, outcomes)


def _promoted(model: str, approval: Literal["required", "none"]) -> str:
    state = promote(model, approval=approval, reason="retrained", return_state=True)
    return "promoted" if state.is_completed() else state.message or "refused"


def _end(outcome: str, data: str, models: dict[str, str]) -> State[None]:
    """Tell whoever listens, and end the flow run."""
    emit_event(
        EVENT,
        resource={"prefect.resource.id": "digits.champion", "digits.outcome": outcome},
        payload={
            "outcome": outcome,
            "data_md5": data,
            "models": models,
            "flow_run_id": str(runtime.flow_run.id),
        },
    )
    if outcome == "failed":
        return Failed(message=models["train"])
    return Completed(name=outcome.capitalize(), message=str(models or "same data as before"))
