"""The `train` flow: the pipeline of dvc.yaml, one Prefect task per stage."""

from collections.abc import Sequence
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

import own_code as own_code
from digits import params
from digits.project import load_project
from imageproof.base import errors
from imageproof.dvc import params_yaml
from imageproof.prefect import lifecycle, pipelines


@flow(name="train")
@lifecycle.in_project
def train(
    targets: Sequence[str] = (),
    overrides: dict[str, Any] | None = None,
    force: bool = False,
    pull: bool = False,
    push: bool = False,
) -> State[None]:
    """Bring the pipeline of dvc.yaml up to date.

    Args:
        targets: Stages, with all they depend on; none: the whole pipeline. Not with `overrides`.
        overrides: Params by dotted key, such as `{"train.cnn.fit.epochs": 1}`. The run is then a
            DVC experiment: it works in a copy of the project, and runs all that depends on them.
        force: Run every stage, changed or not.
        pull: `dvc pull` first; no stage runs whose result is in the run cache of DVC's remote.
        push: `dvc push --run-cache` at the end, and a branch `retrain/…` of git's `origin` with
            what git keeps; of an experiment, `dvc exp push origin`.
    """
    if targets and overrides:
        raise errors.UsageError(
            "targets: cannot be given with `overrides`: an experiment runs all stages that depend"
            " on these, as its figures would else be those of another model"
        )
    options = {"force": force, "pull": pull, "push": push}
    if overrides:
        values = params_yaml.read()
        params_yaml.set_keys(values, overrides)
        params.check(values)
        return pipelines.run_experiment(overrides, **options)
    return pipelines.run_pipeline(load_project(), targets, **options)


if __name__ == "__main__":
    lifecycle.run_as_program(train)
