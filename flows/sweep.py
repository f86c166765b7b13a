"""The `sweep` flow: hyper-parameter search, its trials on this machine or on a Dask cluster."""

from argparse import SUPPRESS, ArgumentParser
from pathlib import Path
from typing import Annotated, Any

from prefect import flow, get_run_logger, runtime, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import Field

from digits import params
from digits.project import as_project
from imageproof.artifacts import split_path
from imageproof.base.commands import LONG_GRACE_S, Commands
from imageproof.base.errors import ImageproofError
from imageproof.base.machine import processors
from imageproof.base.params_yaml import read
from imageproof.dvc.provenance import recorded_outputs
from imageproof.mlflow import store
from imageproof.prefect.commands import Dvc
from imageproof.prefect.lifecycle import VERSION, in_project, run_as_program
from imageproof.prefect.stages import task_runner


@flow(name="sweep", version=VERSION)
@in_project
def sweep(
    model: str,
    space: str,
    trials: Annotated[int, Field(ge=1)] = 20,
    seeds: Annotated[int, Field(ge=2)] = 3,
    study: str = "",
    parallel: Annotated[int, Field(ge=0)] = 0,
    scheduler: str = "",
    remote: str = "",
    storage: str = "",
) -> State:
    """Search the settings of a model that give the best validation accuracy.

    Args:
        model: Whose settings are searched.
        space: A YAML file: which keys of `train.<model>` vary, and in which range.
        trials: How many to run; a study that exists gets this many more.
        seeds: At the end, compare the best settings with the defaults over so many seeds.
        study: Name by which a later sweep continues this one; default: the model's.
        parallel: Trials at a time on this machine; 0: as many as fit the cores.
        scheduler: Address of a Dask scheduler whose workers run in clones of this project.
        remote: DVC remote from which these get the splits, which are pushed to it first.
        storage: Optuna's database URL, which all trials reach; default: SQLite in this folder.
    """
    # here, because not everybody installs Optuna
    from digits.sweep import trial
    from digits.sweep.search import search

    # here, because Dask gets this flow, and its workers do not know the file
    from train import train

    raw, root = read(), Path.cwd()
    checked = params.check(raw)
    checked.recipe(model)
    varied = trial.read_space(Path(space), model=model, raw=raw)
    store.connect(as_project(checked).part("sweeps"))
    split = train(targets=["split"], return_state=True)
    if not split.is_completed():
        raise ImageproofError(*str(split.message).splitlines())
    if remote:  # from which the workers get it
        Dvc().other("push", "--quiet", "--remote", remote, "split")
    Path(".state").mkdir(exist_ok=True)
    recorded = recorded_outputs()
    spec = trial.Spec(
        model=model,
        raw=raw,
        study=f"{checked.project.name}/{study or model}",  # the storage may be others' too
        storage=storage or f"sqlite:///{root}/.state/sweeps.db",
        space=varied,
        splits={name: recorded[split_path(name)] for name in trial.FITTED_ON},
        remote=remote,
        tracking_uri=store.tracking_uri(),
        flow_run=str(runtime.flow_run.id),
    )
    commands = Commands()
    ours = None if scheduler else commands  # for it cannot be sent to another process

    @task(name="trial", task_run_name="{settings[name]}", cache_policy=NO_CACHE)
    def train_one(settings: dict[str, Any]) -> float | None:
        return trial.run(trial.Spec(**settings), get_run_logger().info, ours)

    at_once = parallel or max(1, processors() // checked.train.threads)
    with task_runner(scheduler, at_once) as runner:

        def train_all(specs: list[trial.Spec]) -> list[Any]:
            plain = [{"settings": spec.model_dump()} for spec in specs]
            futures = [runner.submit(train_one, each, dependencies={}) for each in plain]
            return [future.result(raise_on_failure=False) for future in futures]

        try:
            verdict, best = search(spec, train_all, trials=trials, seeds=seeds)
        finally:
            commands.stop(grace_s=LONG_GRACE_S)
    get_run_logger().info("%s\n%s", verdict, best)
    return Completed(message=f"{verdict}\n{best}")


def _arguments() -> dict[str, str]:
    """The flow's parameters by the command line, with the words of its docstring."""
    parser = ArgumentParser(description="Search the settings of a model, as the flow `sweep` does.")
    for name, about in sweep.parameters.properties.items():
        option = name if name in sweep.parameters.required else f"--{name}"
        default = f" [default: {about['default']}]" if about.get("default") else ""
        words = " ".join(about["description"].split()) + default
        parser.add_argument(option, help=words, default=SUPPRESS, metavar=name.upper())
    return vars(parser.parse_args())


if __name__ == "__main__":
    arguments = _arguments()
    run_as_program(lambda: sweep(**arguments, return_state=True))
