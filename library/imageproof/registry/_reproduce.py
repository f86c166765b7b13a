"""Reproducing a version: train it again from its commit and compare the predictions."""

import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
from dvc.repo import Repo
from pydantic import PositiveInt

from imageproof.artifacts import Artifacts
from imageproof.base import _inference
from imageproof.base.errors import IntegrityError
from imageproof.base.files import md5, scratch
from imageproof.dvc import provenance
from imageproof.dvc._pipeline import data_sources
from imageproof.dvc.params_yaml import PATH
from imageproof.features._backbone import backbone_path
from imageproof.mlflow import _runs
from imageproof.registry._evidence import commit_origin
from imageproof.registry._model_files import download
from imageproof.registry._version import Origin, find_origin, load_version
from imageproof.system import _process, _repository
from imageproof.system._commands import CommandFailedError, Commands


def reproduce_version(uri: str, *, tolerance: float) -> str:
    """Train a version again from its commit, data and params; say how far its answers differ.

    IntegrityError if no commit holds the code, or a hash differs, or an answer by over `tolerance`.
    """
    origin = find_origin(uri)
    is_kept, finding = commit_origin(asdict(origin))
    if not is_kept:
        raise IntegrityError(f"{origin.uri}: {finding}")
    origin.check_gate_record()
    name = origin.param("model", str)
    threads = origin.param("threads", PositiveInt)
    with load_version(origin.uri, threads=threads) as version, scratch() as temporary:
        folder = _check_out(origin, temporary / "project")
        download(f"runs:/{origin.run_id}/{_runs.PARAMS_FILE}", folder)
        train_again(folder, origin.dvc_stage, str(origin.params.get("backbone")))
        check_inputs(origin, folder)
        artifacts = Artifacts(folder)
        images = artifacts.read_split("test").data.images
        repeated = _inference.load(artifacts.trained(name).model, threads=threads)
        answers = version.predict(images), repeated.predict(images)
        return compare(origin.uri, *answers, tolerance=tolerance)


def _check_out(origin: Origin, clone: Path) -> Path:
    """The project in a new clone at the version's commit; IntegrityError if it names other data."""
    folder = _repository.clone(Path.cwd(), clone, origin.git_commit)
    data_md5 = provenance.data_md5(folder / provenance.DATA_POINTER)
    if data_md5 != origin.data_md5:
        finding = f"trained on data {origin.data_md5}, its commit has {data_md5 or 'none'}"
        raise IntegrityError(f"{origin.uri}: {finding}")
    return folder


def _share_dvc(folder: Path) -> None:
    """Give a clone the DVC cache, the remotes and the local settings of the project."""
    with Repo() as project:
        local = project.config.read("local")
        local.setdefault("cache", {})["dir"] = project.cache.local_cache_dir
        for remote, settings in project.config["remote"].items():
            local.setdefault("remote", {}).setdefault(remote, {})["url"] = str(settings["url"])
    (folder / ".dvc/config.local").touch(mode=0o600)  # it may hold keys
    with Repo(str(folder)) as clone, clone.config.edit("local") as config:
        config.update(local)


def train_again(folder: Path, stage: str, backbone: str) -> None:
    """Fetch the data and train one model in the clone, which has the run's store, too."""
    _share_dvc(folder)
    sources = data_sources(folder, stage)
    pointer = f"{backbone_path(backbone)}.dvc"  # no stage depends on it, as few models read it
    if (folder / pointer).is_file():
        sources.append(pointer)
    env = _process.child_environment() | {
        "PYTHONPATH": _process.own_code(folder),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
    }
    for command in (
        ["pull", "--quiet", *sources],
        ["repro", "--quiet", "--force", "--no-run-cache", "--no-commit", "--", stage],
    ):
        dvc = [sys.executable, "-m", "dvc", *command]
        try:
            Commands().run(dvc, on_line=partial(print, file=sys.stderr), cwd=folder, env=env)
        except CommandFailedError as error:
            raise IntegrityError(f"dvc {command[0]} in a clone of the commit: {error}") from None


def check_inputs(origin: Origin, folder: Path) -> None:
    """Raise IntegrityError if a split or param of the training in `folder` differs."""
    artifacts = Artifacts(folder)
    for split, recorded in origin.splits.items():
        if (actual := md5(artifacts.split(split))) != recorded:
            finding = f"its {split} split had md5 {recorded}, now it is {actual}"
            raise IntegrityError(f"{origin.uri}: {finding}")
    repeated = artifacts.trained(str(origin.params["model"])).read_run().params
    for key, value in origin.params.items():
        if repeated.get(key) != value:
            finding = f"the {PATH} that it recorded gives {repeated.get(key)}"
            raise IntegrityError(f"{origin.uri}: its run says {key} = {value}, {finding}")


def compare(
    uri: str,
    recorded: np.ndarray,
    again: np.ndarray,
    *,
    tolerance: float,
) -> str:
    """Say how far class probabilities float32 (n, classes) of the same rows differ.

    IntegrityError if one differs by more than `tolerance`, or is NaN.
    """
    same = recorded.argmax(axis=1) == again.argmax(axis=1)
    largest = float(np.abs(recorded.astype(np.float64) - again).max())
    counts = f"{same.sum():,} of {len(same):,} predictions identical"
    line = f"{counts}, largest probability difference {largest:g}"
    if not largest <= tolerance:  # false for NaN
        raise IntegrityError(f"{uri}: {line}; at most {tolerance:g} is allowed (--tolerance)")
    return line
