"""The run of a stage `train`: it goes on from the checkpoint of a training that was killed."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from imageproof.artifacts import WORKSPACE, split_tags
from imageproof.base.files import sha256, text_sha256
from imageproof.dvc import run_tags
from imageproof.dvc._stage_inputs import check_inputs
from imageproof.keras.checkpoints import Checkpoint
from imageproof.mlflow.live import LiveRun, training_run
from imageproof.project import Project
from imageproof.system import _process


@contextmanager
def resumable_run(
    model: str,
    project: Project,
    params: Mapping[str, Any],
    *,
    device: str,
    code: Path,
) -> Iterator[tuple[LiveRun, Checkpoint]]:
    """The run of a model's training, and the checkpoint, which is removed at the end.

    The checkpoint is that of a training with the same `params`, splits, machine, `device` and
    Python files in the folder `code` and in the library. Without a device nothing is saved. Raises
    as `training_run`.
    """
    datasets = WORKSPACE.split_md5s()
    tags = {"model": model} | split_tags(datasets) | ({"device": device} if device else {})
    tags |= run_tags.tags(stage=f"train@{model}", split=WORKSPACE.split("train"))
    logged = {**params, **{name: tags[name] for name in ("data_md5", "split_md5")}}
    check_inputs()  # whose code names the checkpoint
    checkpoint = Checkpoint()
    if device:
        decides = {**logged, **datasets, **run_tags.environment(), "device": device}
        checkpoint = Checkpoint.acquire(_checkpoint_path(decides, code))
    resume = checkpoint.state.run_id
    with training_run(model, project, params=logged, tags=tags, resume=resume) as run:
        run.backfill(checkpoint.state.history)
        checkpoint.begin(run.run_id)
        run.log_inputs(datasets)
        yield run, checkpoint
    checkpoint.remove()


def _checkpoint_path(decides: dict[str, Any], code: Path) -> Path:
    """Where the state of a training lies that these values and this code determine."""
    folders = (code, Path(__file__).parents[1])
    hashes = [sha256(path) for folder in folders for path in sorted(folder.rglob("*.py"))]
    key = text_sha256(json.dumps([decides, hashes], sort_keys=True))
    return _process.project_root() / ".state/trainings" / f"{key[:32]}.npz"
