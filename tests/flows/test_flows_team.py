"""What `make team` and the containers are started from: deploy/."""

import re
import shutil
import subprocess

import pytest
from docker.utils.build import exclude_paths
from ruamel.yaml import YAML
from support import REPOSITORY

DEPLOY = REPOSITORY / "deploy"
SECRET = """\
.env deploy/.env .team/.env src/digits/.env flows/.env.local id_rsa
.git/config .dvc/config.local .dvc/cache/files/x .venv/bin/python
mlflow.db mlflow.db-wal mlartifacts/1/x .state/sweeps.db .prefect/x.db
data/private.png dvc-store/files/x artifacts/pack/images.npy log/x.parquet
predictions.parquet src/digits/__pycache__/x.pyc notes.txt
"""


def procfile(path):
    """Command by the name of each server."""
    return dict(re.findall(r"^([\w-]+): (.+)$", path.read_text("utf-8"), re.MULTILINE))


def test_compose_has_the_servers_of_the_procfile():
    compose = YAML(typ="safe").load(DEPLOY / "compose.yaml")
    services = compose["services"]
    assert services.keys() == procfile(DEPLOY / "Procfile").keys()
    for service in services.values():
        assert set(service.get("depends_on", ())) <= services.keys()
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
        mounted = {volume.partition(":")[0] for volume in service.get("volumes", ())}
        assert all((DEPLOY / name).is_file() for name in mounted - compose["volumes"].keys())


def test_compose_env_example_names_every_password():
    names = set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text("utf-8")))
    example = (DEPLOY / "compose.env.example").read_text("utf-8")
    assert set(re.findall(r"^(\w+)=$", example, re.MULTILINE)) == names


def build_context(folder):
    """The files below a folder that `docker build` would get, by its .dockerignore."""
    lines = (folder / ".dockerignore").read_text("utf-8").splitlines()
    paths = exclude_paths(str(folder), [line for line in lines if line and line[0] != "#"])
    return {path for path in paths if (folder / path).is_file()} - {"Dockerfile"}


def test_image_gets_no_secret(tmp_path):
    shutil.copy(REPOSITORY / ".dockerignore", tmp_path)
    code = {"library/imageproof/cli/program.py", "flows/train.py", ".dvc/config", "params.yaml"}
    for name in {*SECRET.split()} | code:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert build_context(tmp_path) - {".dockerignore"} == code


def test_image_gets_the_code():
    folders = ("src", "flows", "gx", "library", "spaces")
    files = (*folders, "environment.sh", "requirements.lock", "params.yaml")
    code = subprocess.check_output(["git", "ls-files", *files], cwd=REPOSITORY, text=True)
    assert set(code.splitlines()) <= build_context(REPOSITORY)


@pytest.mark.parametrize("name", ["Procfile", "Procfile.up"])
def test_servers_listen_on_this_machine_only(name):
    commands = procfile(DEPLOY / name)
    del commands["worker"]  # listens nowhere
    commands.pop("postgres", None)  # its options are in postgres.sh
    assert all(re.search(r"(--host |-ip\.bind=)127\.0\.0\.1", text) for text in commands.values())
    assert "listen_addresses=127.0.0.1" in (DEPLOY / "postgres.sh").read_text("utf-8")
