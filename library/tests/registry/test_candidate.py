"""Promoting a DVC experiment: the gate judges the outputs that the experiment recorded."""

from pathlib import Path

import pytest
from arena import EVEN, fighter
from dvc.repo import Repo
from example import load_project, write_params
from filelock import FileLock
from helpers import finding, git, run_record

from imageproof.artifacts import WORKSPACE
from imageproof.base.errors import BusyError, DataError, IntegrityError, UsageError
from imageproof.base.files import md5, write_json
from imageproof.dvc.provenance import PROJECT_LOCK
from imageproof.outputs import SPLITS
from imageproof.registry._promotion import Candidate, promote_training

STAGES = """\
stages:
  validate:
    cmd: "true"
    deps: [data]
    outs: [artifacts/pack/rows.parquet, artifacts/validate/result.json]
  split:
    cmd: "true"
    deps: [data]
    params: [split.copies]
    outs: [SPLITS]
  baseline:
    cmd: "true"
    deps: [artifacts/split/holdout.npz]
    outs: [artifacts/baseline/baseline.json, artifacts/baseline/predictions.npz]
  train:
    matrix:
      model: [mlp, cnn]
    cmd: "true"
    outs: ["artifacts/train/${item.model}/run.json"]
"""


@pytest.fixture
def experiments(ring):
    """A project with the experiment `wide`, which trained an mlp."""
    write_params({"promote.max_latency_ms": None})  # how fast it is here decides nothing
    splits = ", ".join(map(str, [*map(WORKSPACE.split, SPLITS), WORKSPACE.split_hashes]))
    Path("data").mkdir()
    Path("data/images.csv").write_text("1", "utf-8")
    Path("data.dvc").unlink()
    with Repo.init() as repo:
        repo.add("data")
        weak = fighter(EVEN)
        Path("dvc.lock").unlink()  # written by hand, and so not as DVC reads it
        Path("dvc.yaml").write_text(STAGES.replace("SPLITS", splits), "utf-8")
        record(weak, "mlp", "cnn")
        repo.commit(force=True)
        git("add", ".")
        git("commit", "-qm", "baseline")
        record(fighter(), "mlp")
        repo.commit(force=True)
        repo.experiments.save(name="wide")
        git("checkout", "-q", "dvc.lock")
        repo.checkout(force=True)
        yield repo


def record(run, *models):
    """Write the records of trainings that had this run."""
    for model in models:
        recorded = run_record(model, run_id=run.run_id, model_id=run.model_id)
        write_json(WORKSPACE.trained(model).run, recorded.model_dump())


def promote(model, experiment=""):
    return promote_training(Candidate(model, experiment), project=load_project())


def test_an_experiment_is_promoted_by_what_it_recorded(experiments):
    for path in ("data.dvc", "dvc.lock", WORKSPACE.split("holdout"), WORKSPACE.validation):
        Path(path).unlink()  # the workspace judges nothing of it
    write_params({"split.copies": "drop"})
    line = finding(IntegrityError, promote, "mlp", "wide")
    assert line.startswith("split: made with split.copies keep, ")
    write_params({"promote.max_latency_ms": None})
    outcome = promote("mlp", "wide")
    assert outcome.move, outcome.decision
    git("checkout", "-q", "data.dvc", "dvc.lock")
    experiments.experiments.apply("wide")
    git("commit", "-aqm", "wide")
    again = promote("mlp")
    assert (again.version, again.decision) == (outcome.version, None)


def test_unknown_experiment_or_model_is_a_line(experiments):
    assert "unknown Git revision" in finding(UsageError, promote, "mlp", "narrow")
    line = finding(DataError, promote, "gnn", "wide")
    assert line.startswith("wide: artifacts/train/gnn/run.json: not found; `dvc pull` fetches ")


def test_what_is_not_as_dvc_recorded_it_is_refused(experiments):
    path = WORKSPACE.trained("mlp").run
    revision = experiments.scm.get_rev()
    for output, experiment in ((path, revision), (WORKSPACE.split("holdout"), "wide")):
        cached = Path(experiments.cache.local.oid_to_path(md5(output)))
        cached.chmod(0o644)
        cached.write_bytes(b"hand-picked")
        line = finding(IntegrityError, promote, "mlp", experiment)
        assert line.startswith(f"{experiment}: {output}: md5 ")
    path.unlink()
    path.write_bytes(WORKSPACE.trained("cnn").run.read_bytes())
    assert finding(IntegrityError, promote, "mlp").startswith(f"{path}: md5 ")
    with FileLock(PROJECT_LOCK), pytest.raises(BusyError, match="again when it has ended"):
        promote("mlp")
