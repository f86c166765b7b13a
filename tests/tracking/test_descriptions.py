"""What MLflow's pages say of experiments, runs and the registered model."""

import subprocess
from pathlib import Path

import pytest
from mlflow import MlflowClient
from support import only_run

from digits.registry.versions import Registry
from digits.tracking import runs, store
from digits.tracking.descriptions import NOTE

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def published(tracked: Path) -> Path:
    """A project whose repository others reach at an address that holds a password."""
    subprocess.run(["git", "init", "-q"], check=True)
    address = "https://me:secret@host/me/digits.git"
    subprocess.run(["git", "remote", "add", "origin", address], check=True)
    return tracked


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (None, "Each run is one training"),
        ("digits-monitoring", "Each run is one `digits monitor`"),
        ("digits-scoring", "Each run is one `digits score`"),
        ("digits-sweeps", "Each run is one search"),
        ("digits-comparisons", "Each run is one comparison"),
    ],
)
def test_experiment_is_described_once(published: Path, name: str | None, says: str) -> None:
    experiment, client = store.connect(name), MlflowClient()
    note = client.get_experiment(experiment).tags[NOTE]
    assert note.startswith(says)
    assert note.endswith("\n\nCode: https://host/me/digits.git")
    client.set_experiment_tag(experiment, NOTE, "theirs")
    store.connect(name)
    assert client.get_experiment(experiment).tags[NOTE] == "theirs"


def test_run_names_its_code(published: Path) -> None:
    tags = {"git_commit": COMMIT}
    with runs.active_run("mlp", what="Training of `mlp`.", params={}, tags=tags):
        pass
    expected = "Training of `mlp`.\n\nCode: commit `0123456789ab` of https://host/me/digits.git"
    assert only_run(MlflowClient()).data.tags[NOTE] == expected


@pytest.mark.usefixtures("ring")
def test_registered_model_is_described_once() -> None:
    from arena import NAME, fighter

    client, run = MlflowClient(), fighter()
    Registry(NAME).register(run)
    text = client.get_registered_model(NAME).description
    assert text.startswith("The image classifiers of the project digits.")
    assert "- `champion` is the version that answers" in text
    client.update_registered_model(NAME, "theirs")
    Registry(NAME).register(run)
    assert client.get_registered_model(NAME).description == "theirs"
