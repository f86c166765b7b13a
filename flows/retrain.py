"""The `retrain` flow: train and promote when the data has changed, and emit the outcome."""

from collections.abc import Sequence
from typing import Any, Literal

from prefect import flow, runtime
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.states import Completed, Failed
from prefect.variables import Variable

from digits.project import load_project
from imageproof.dvc import provenance
from imageproof.prefect.lifecycle import VERSION, in_project
from promote import ALREADY_CHAMPION, promote
from train import train


@flow(name="retrain", version=VERSION)
@in_project
def retrain(
    models: Sequence[str] = (), approval: Literal["required", "none"] = "none"
) -> State[None]:
    """Pull, train and promote if data.dvc names other data than this flow last trained on.

    Emits the event `<project>.retrain` with the outcome: `unchanged`, `failed`, `promoted` or
    `refused`. What failed is tried again by the next run; the first run takes what dvc.lock
    records for trained on.

    Args:
        models: To be promoted, one after the other; none: `models` of params.yaml.
        approval: Whether a person must agree to each promotion.
    """
    data, project = provenance.data_md5(), load_project().name
    outcome, message, seen = "unchanged", "same data as before", f"{project}_retrained_data"
    if not (last := Variable.get(seen, default=None)):  # the first run
        last = provenance.recorded_inputs("split").get(provenance.DATA, "none")
        Variable.set(seen, last)
    if last != data:
        states = {"train": train(pull=True, return_state=True)}
        if states["train"].is_completed():
            again: Any = {"approval": approval, "reason": "retrained", "return_state": True}
            states |= {model: promote(model, **again) for model in models or load_project().models}
        message = "\n".join(f"{name} {s.name}: {s.message}" for name, s in states.items())
        ended = {state.name for state in states.values()}
        if ended <= {"Completed", "Promoted", "Refused", ALREADY_CHAMPION}:
            outcome = next((n.lower() for n in ("Promoted", "Refused") if n in ended), "unchanged")
            Variable.set(seen, data, overwrite=True)
        else:
            outcome = "failed"
    told = {"outcome": outcome, "data_md5": data, "message": message}
    emit_event(
        f"{project}.retrain",
        resource={"prefect.resource.id": f"{project}.champion", "digits.outcome": outcome},
        payload=told | {"flow_run_id": str(runtime.flow_run.id)},
    )
    ends = Failed if outcome in ("failed", "refused") else Completed
    return ends(name=outcome.capitalize(), message=message)
