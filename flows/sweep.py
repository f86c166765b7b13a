"""The `sweep` flow: hyper-parameter search, its trials on local processes or on a Dask cluster."""

import sys
from pathlib import Path
from typing import Annotated

from prefect import flow
from prefect.client.schemas.objects import State
from pydantic import Field

from flows.support import lifecycle


@flow(name="sweep")
def sweep(
    model: str,
    space: str,
    trials: Annotated[int, Field(ge=1)] = 20,
    parallel: Annotated[int, Field(ge=1)] | None = None,
    scheduler: str | None = None,
    study: str | None = None,
    storage: str | None = None,
    remote: str | None = None,
    seeds: Annotated[int, Field(ge=3)] = 3,
) -> State:
    """Search the settings of a model that give the best validation accuracy.

    Args:
        model: Which one, by its name in params.yaml.
        space: A YAML file: which keys of `train.<model>` vary, and between what.
        trials: How many; those of a study that is continued come on top.
        parallel: Trials at once; default: cores over threads here, workers on a cluster.
        scheduler: Address of a Dask scheduler; default: processes on this machine.
        study: Name, by which a sweep is continued later; default: the model's.
        storage: Optuna's database URL; default: SQLite in this folder.
        remote: DVC remote from which workers fetch the splits, which are pushed to it first;
            default: this project's cache, for workers on this machine.
        seeds: With how many the best settings and the defaults are compared at the end.
    """

    def work() -> State:
        from flows.support.searching import Options, search

        options = Options(model, space, trials, parallel, scheduler, study, storage, remote, seeds)
        return search(Path.cwd(), options)

    return lifecycle.run_in_project(work)


def start() -> State:
    """Run the flow with the arguments of the command line."""
    import optuna  # noqa: F401 - if it is missing, say so before the flow starts

    return sweep(*sys.argv[1:], return_state=True)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python flows/sweep.py MODEL SPACE.yaml")
    lifecycle.run_as_program(start)
