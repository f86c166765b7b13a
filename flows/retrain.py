"""The `retrain` flow: train and promote when the data has changed."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from prefect.variables import Variable

import own_code as own_code
from digits.project import load_project
from imageproof.base import errors
from imageproof.dvc import provenance
from imageproof.prefect import branch, lifecycle, pipelines
from promote import ALREADY_CHAMPION, PROMOTED, REFUSED, TOO_FEW_ROWS, UNDECIDED, promote
from train import train

# By the names of the states of promotions: the first of which there is one is that of a retraining.
OUTCOMES = {
    PROMOTED: "promoted",
    UNDECIDED: "undecided",
    TOO_FEW_ROWS: "undecided",
    REFUSED: "refused",
}


@flow(name="retrain")
@lifecycle.in_project
def retrain(
    models: Sequence[str] = (),
    approval: Literal["required", "none"] = "none",
    push: bool = False,
) -> State[None]:
    """Pull, train and promote if data.dvc names other data than this flow last trained on.

    Ends Unchanged, Failed, Promoted, Undecided or Refused. The next run tries again what failed, or
    was undecided because the machine was busy; the first run takes what dvc.lock records for
    trained on.

    Args:
        models: The models to promote, one after the other; none: `models` of params.yaml.
        approval: Whether a person must agree to each promotion.
        push: As in `train`; a commit of the branch also says how the promotions ended.
    """
    project = load_project()
    if unknown := {*models}.difference(project.models):
        raise errors.UsageError(f"models: {min(unknown)} is none of params.yaml's `models`")
    data = provenance.data_md5()
    variable = f"{project.name}_retrained_data"
    last = Variable.get(variable, default=None)
    if not last:  # the first run
        last = provenance.recorded("split").inputs.get(provenance.DATA, "none")
        Variable.set(variable, last)
    outcome = "unchanged"
    message = "same data as before"
    if last != data:
        states = _train_and_promote(models or project.models, approval, push)
        message = _lines(states)
        outcome = _outcome(states)
        rows = [{"": k, "ended": s.name, "how": s.message} for k, s in states.items()]
        lifecycle.show_table(project.name, rows, "retrain", f"**{outcome}** on data {data[:12]}")
        names = [state.name for state in states.values()]
        if outcome != "failed" and UNDECIDED not in names:
            Variable.set(variable, data, overwrite=True)
    kind = Completed if outcome in ("promoted", "unchanged") else Failed
    return kind(name=outcome.capitalize(), message=message)


def _train_and_promote(models: Sequence[str], approval: Any, push: bool) -> dict[str, State[Any]]:
    states: dict[str, State[Any]] = {}
    states["train"] = train(pull=True, push=push, return_state=True)
    if states["train"].is_completed():
        for model in models:
            states[model] = promote(model, approval=approval, reason="retrained", return_state=True)
        if pushed := states["train"].result():
            text = f"Promotion: {_outcome(states)}\n\n{_lines(states)}"
            states["branch"] = pipelines.run("branch", branch.append, pushed, text)
    return states


def _lines(states: Mapping[str, State[Any]]) -> str:
    return "\n".join(f"{name} {state.name}: {state.message}" for name, state in states.items())


def _outcome(states: Mapping[str, State[Any]]) -> str:
    """How a retraining ended, by the names of the states of its training and promotions."""
    names = {state.name for state in states.values()}
    if not names <= {"Completed", ALREADY_CHAMPION, *OUTCOMES}:
        return "failed"
    return next((OUTCOMES[name] for name in OUTCOMES if name in names), "unchanged")


if __name__ == "__main__":
    lifecycle.run_as_program(retrain)
