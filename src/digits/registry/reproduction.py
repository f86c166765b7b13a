"""Reproducing a registered version: the record it is held to, and the verdict."""

from pathlib import Path

from digits import params
from digits.core import provenance
from digits.core.artifacts import TrainOutputs, split_path
from digits.core.dataset import load_split
from digits.core.errors import IntegrityError, printable
from digits.core.files import md5, write_text
from digits.registry import reproduce
from digits.registry import served as models
from digits.registry.reproduce import Reproduction
from digits.registry.trace import Origin
from digits.tracking import runs

CACHE = Path(".dvc", "cache")


def run(uri: str, *, threads: int, tolerance: float) -> Reproduction:
    """Train a version again from its commit, data and params, and compare the predictions.

    Says what differs from the record before it starts. `threads` are those of params.yaml;
    the recorded number is what counts.

    Raises:
        IntegrityError: no commit holds the code, the model, data or split have another hash, or a
            probability differs by more than `tolerance`.
    """
    origin = models.source(uri)
    _check_record(uri, origin)
    models.check(origin)  # before minutes of training, and once more when it answers
    recorded_threads = int(origin.params["threads"])
    with reproduce.worktree(origin.git_commit) as folder:
        _check_data(uri, origin, folder)
        for line in differences(origin, folder, threads=threads):
            print(f"warning: {printable(line)}", flush=True)
        if recorded := runs.params_file(origin.run_id):  # none in runs of old: the commit has it
            write_text(folder / params.PATH, recorded)
        reproduce.train_again(folder, str(origin.params["model"]), cache=CACHE.resolve())
        found = _compared(uri, origin, folder, threads=recorded_threads)
    judge(uri, found, tolerance=tolerance)
    return found


def judge(uri: str, found: Reproduction, *, tolerance: float) -> None:
    """Raises IntegrityError where a probability differs by more than `tolerance`."""
    if not found.largest_difference <= tolerance:  # so that nan passes for nothing
        raise IntegrityError(f"{uri}: {found}; at most {tolerance:g} is allowed (--tolerance)")


def differences(origin: Origin, folder: Path, *, threads: int) -> list[str]:
    """What here differs from the record: threads, CPU, packages."""
    found = []
    if threads != int(origin.params["threads"]):
        found.append(
            f"threads: {origin.params['threads']} recorded and used, params.yaml has {threads}"
        )
    if origin.cpu != (here := provenance.cpu()):
        found.append(f"CPU: {origin.cpu or 'none'} recorded, {here} here")
    found += _feature_differences(set(origin.cpu_features.split()), set(provenance.cpu_features()))
    lock = folder / provenance.LOCK
    packages = reproduce.package_differences(lock) if lock.exists() else ["no lock at that commit"]
    return found + [f"package: {line}" for line in packages]


def _feature_differences(recorded: set[str], here: set[str]) -> list[str]:
    if not recorded:
        return ["CPU features: none recorded"] if here else []
    sides = {"recorded, not here": recorded - here, "here, not recorded": here - recorded}
    return [
        f"CPU features {where}: {', '.join(sorted(names))}"
        for where, names in sides.items()
        if names
    ]


def _check_record(uri: str, origin: Origin) -> None:
    if not origin.git_commit or origin.git_dirty != "false":
        raise IntegrityError(
            f"{uri}: trained with uncommitted changes on {origin.git_commit[:12] or 'no commit'}; "
            "no commit holds its code"
        )
    missing = {"threads", "seed", "model", "classes"} - set(origin.params)
    if missing:
        raise IntegrityError(f"{uri}: its run recorded no {', '.join(sorted(missing))}")


def _check_data(uri: str, origin: Origin, folder: Path) -> None:
    found = provenance.data_md5(folder / provenance.DATA_POINTER)
    if found != origin.data_md5:
        raise IntegrityError(
            f"{uri}: trained on data {origin.data_md5}, its commit has {found or 'none'}"
        )


def _compared(uri: str, origin: Origin, folder: Path, *, threads: int) -> Reproduction:
    _check_repeated(uri, origin, folder)
    images = load_split(folder / split_path("test")).data.images
    with models.served(uri, threads=threads) as model:
        recorded = model.predict
    from digits.training import inference

    repeated = inference.load(TrainOutputs(str(origin.params["model"]), folder).model)
    return reproduce.compare(recorded(images), inference.predictor(repeated)(images))


def _check_repeated(uri: str, origin: Origin, folder: Path) -> None:
    """That it was trained again on the recorded splits, by the recorded params."""
    for split, recorded in origin.splits.items():
        found = md5(folder / split_path(split))
        if found != recorded:
            raise IntegrityError(f"{uri}: its {split} split had md5 {recorded}, now it is {found}")
    repeated = TrainOutputs(str(origin.params["model"]), folder).read_run().params
    for key, value in origin.params.items():
        if repeated.get(key) != value:
            raise IntegrityError(
                f"{uri}: its run says {key} = {value}, "
                f"the {params.PATH} that it recorded gives {repeated.get(key)}"
            )
