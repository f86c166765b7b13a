"""`make team`: servers behind passwords, which come back when killed and keep what they hold."""

import base64
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import arena
import boto3
import psutil
import psycopg
import pytest
import requests
from support import REPOSITORY, until, write_project

from digits.core.dataset import Dataset
from digits.core.errors import BusyError
from digits.params import Params
from digits.registry.promotion import promote
from digits.stages import evaluate, train
from flows.team import compose, control, programs
from flows.team.control import Team
from flows.team.settings import WORKER_ACCOUNT, account

pytestmark = pytest.mark.slow
ALL = [*programs.NEEDS]
# Where the inner servers would tell or do something.
INNER = {
    "master": "dir/assign",
    "volume": "1,01",
    "filer": "buckets/",
    "admin": "",
    "dask-http": "info/main/workers.html",
}

# Tells of each epoch, and waits after it; then shows what Prefect shows.
TRAINING = """
from prefect import flow
from prefect.artifacts import Artifact
from flows.support.prefect_artifacts import Progress, artifact_key

@flow
def training():
    progress = Progress("outage")
    for number in (1, 2, 3, 4):
        progress.on_line(f"mlp epoch {number}/4")
        print(f"epoch {number}/4", flush=True)
        number == 4 or input()
    print(Artifact.get(artifact_key("progress-outage")).data)

training()
"""


@pytest.fixture
def store(team: Team) -> Any:
    """The object store, for one who has its key."""
    team.start("s3")
    return boto3.client(
        "s3",
        endpoint_url=team.env["AWS_ENDPOINT_URL"],
        aws_access_key_id=team.env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=team.env["AWS_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
    )


def login(team: Team) -> tuple[str, str]:
    return team.env["MLFLOW_TRACKING_USERNAME"], team.env["MLFLOW_TRACKING_PASSWORD"]


def experiment(team: Team, name: str) -> str:
    """The id of the experiment of this name, which is made if it is not there."""
    address = f"{team.env['MLFLOW_TRACKING_URI']}/api/2.0/mlflow/experiments"
    asked: dict[str, Any] = {"auth": login(team), "timeout": 60}
    requests.post(f"{address}/create", json={"name": name}, **asked)
    found = requests.get(f"{address}/get-by-name", params={"experiment_name": name}, **asked)
    return str(found.json()["experiment"]["experiment_id"])


def knock(port: int) -> None:
    """Speak TLS without a certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection(("127.0.0.1", port), 10) as plain,
        context.wrap_socket(plain) as encrypted,
    ):
        encrypted.recv(1)
        encrypted.recv(1000)


def command(team: Team, *what: str) -> "subprocess.CompletedProcess[str]":
    """`make team` or `make team-down` in the folder of the team."""
    return subprocess.run(
        [sys.executable, "-m", "flows.team", *what],
        cwd=team.settings.folder.parent,
        env={**os.environ, "TEAM_PORT": str(team.settings.first_port)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def shell(*command: str, **environment: str) -> str:
    """What a command that fails says."""
    done = subprocess.run(
        command,
        env=os.environ | {"DIGITS_DEBUG": "1", **environment},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode
    return done.stdout + done.stderr


def train_and_promote(digits: Dataset, params: Params) -> None:
    """In the current folder."""
    write_project(digits, params)
    train.main("mlp")
    evaluate.main("mlp")
    arena.prepare(digits)
    assert promote(arena.fighter(), "team-secrets", judge=arena.accept).moved


def pages(team: Team) -> str:
    """All that Prefect's server knows of flow runs, logs, deployments and pools."""
    kinds = ("flow_runs", "logs", "deployments", "work_pools", "block_documents", "variables")
    addresses = [f"{team.env['PREFECT_API_URL']}/{kind}/filter" for kind in kinds]
    asked: dict[str, Any] = {"json": {}, "auth": login(team), "timeout": 60}
    return "".join(requests.post(address, **asked).text for address in addresses)


def command_lines() -> list[str]:
    """Those of all processes."""
    lines = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            lines.append(" ".join(process.cmdline()))
    return lines


def secret_texts(team: Team) -> list[bytes]:
    """Every password, and each login as HTTP sends it."""
    made = json.loads((team.settings.secrets / "passwords.json").read_text())
    logins = [f"{name}:{made[name]}".encode() for name in (account(), WORKER_ACCOUNT)]
    passwords = [value.encode() for name, value in made.items() if name != "s3-id"]
    return [*passwords, *map(base64.b64encode, logins)]


def test_all_start_and_nobody_is_let_in_without_a_password(team: Team) -> None:
    team.start()
    for name in ("mlflow", "prefect"):
        address = team.settings.address(name)
        assert requests.get(address, timeout=30).status_code == 401
        assert requests.get(address, auth=("worker", "guessed"), timeout=30).status_code == 401
        for foreign in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
            refused = requests.get(address, auth=login(team), headers=foreign, timeout=30)
            assert refused.status_code == 403
    assert requests.get(f"{team.settings.address('s3')}/digits", timeout=30).status_code == 403
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(team.settings.database("mlflow"), passfile="/dev/null")
    for name, path in INNER.items():
        answer = requests.get(f"{team.settings.address(name)}/{path}", timeout=30)
        assert answer.status_code in (401, 404), name
    for name in ("master-grpc", "volume-grpc", "filer-grpc", "s3-grpc", "dask"):
        with pytest.raises(ssl.SSLError, match=r"certificate required|handshake failure"):
            knock(team.settings.port(name))
    for process in team.processes():
        listening = [c.laddr.ip for c in process.net_connections("inet") if c.status == "LISTEN"]
        assert {*listening} <= {"127.0.0.1"}, process.cmdline()


def test_one_account_of_the_database_does_not_reach_the_data_of_another(team: Team) -> None:
    team.start("postgres")
    other = f"postgresql://optuna@127.0.0.1:{team.settings.port('postgres')}/mlflow"
    passfile = team.env["PGPASSFILE"]
    [password] = [line for line in Path(passfile).read_text().split() if ":optuna:" in line]
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        psycopg.connect(other, password=password.rpartition(":")[2])


def test_it_tells_that_it_is_up_and_which_port_is_taken(team: Team) -> None:
    team.start("s3")
    again = command(team, "start")
    assert (again.returncode, again.stderr) == (6, "error: already up; see make team-down\n")
    with pytest.raises(BusyError, match=f"port {team.settings.port('s3')} is taken; choose with"):
        control._check_free(team.settings.port("s3"))


def test_whatever_is_killed_comes_back(team: Team, store: Any) -> None:
    team.start()
    kept = experiment(team, "kept")
    store.put_object(Bucket="digits", Key="kept", Body=b"1")
    before = {name: team.pid(name) for name in ALL}
    for name in ALL:
        team.kill(name)
    for name in ALL:
        assert until(lambda name=name: team.pid(name) not in (0, before[name]), seconds=60)
        assert until(lambda name=name: team.answers(name), seconds=120), name
    assert experiment(team, "kept") == kept
    assert store.get_object(Bucket="digits", Key="kept")["Body"].read() == b"1"


def test_a_training_goes_on_while_prefect_has_no_database_and_says_so_once(team: Team) -> None:
    team.start("prefect")
    command = [sys.executable, "-c", TRAINING]
    asked = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    env = os.environ | team.env
    with subprocess.Popen(command, cwd=REPOSITORY, env=env, text=True, **asked) as training:
        for act in (lambda: team.stop("postgres"), list, lambda: team.start("postgres")):
            assert "epoch" in training.stdout.readline()
            act()
            training.stdin.write("\n")
            training.stdin.flush()
        assert training.stdout.read() == "epoch 4/4\n100.0\n"
        said = training.stderr.read()
    assert training.returncode == 0
    assert said.count("progress of outage: not shown in Prefect; Prefect at http") == 1


def test_dask_workers_come_back_when_the_scheduler_was_killed(team: Team) -> None:
    """They leave as if all were well."""
    workers = ("dask-worker-1", "dask-worker-2")
    team.start(*workers)
    before = {name: team.pid(name) for name in workers}
    team.kill("dask")
    for name in workers:
        assert until(lambda name=name: team.pid(name) not in (0, before[name]), seconds=90), name
        assert until(lambda name=name: team.answers(name), seconds=60), name


def test_others_may_not_read_it(team: Team) -> None:
    folder = team.settings.folder
    for path in [folder, *folder.iterdir(), *(folder / "secrets").iterdir()]:
        assert path.stat().st_mode & 0o066 == 0, path
    assert (folder / "env").stat().st_mode & 0o777 == 0o600


def test_compose_is_written_from_what_make_team_starts() -> None:
    assert (REPOSITORY / "compose.yaml").read_text("utf-8") == compose.text()


def test_no_password_is_shown_anywhere(
    team: Team,
    tracked: Path,
    digits_8x8: Dataset,
    small_params: Params,
    tensorflow: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After a training, a promotion, a flow on a worker, failed logins, and without servers."""
    team.start("mlflow", "worker-1")
    for name, value in team.env.items():
        monkeypatch.setenv(name, value)
    train_and_promote(digits_8x8, small_params)
    said = [
        shell("prefect", "deployment", "run", "score/digits", "--watch", "-p", "source=nowhere")
    ]
    assert "nowhere" in pages(team)
    said.append(pages(team))
    said.append(shell("digits", "summary", MLFLOW_TRACKING_PASSWORD="wrong"))
    header = json.dumps({"Authorization": "Basic d3Jvbmc6d3Jvbmc="})
    said.append(shell("prefect", "work-pool", "ls", PREFECT_CLIENT_CUSTOM_HEADERS=header))
    team.stop("postgres")
    said.append(shell("digits", "summary", MLFLOW_TRACKING_URI=team.settings.database("mlflow")))
    team.start("mlflow", "prefect")

    folder = team.settings.folder
    kept = {folder / "env", *(folder / "secrets").iterdir()}
    files = [path for root in (folder, tracked) for path in root.rglob("*") if path.is_file()]
    shown = [path.read_bytes() for path in files if path not in kept]
    shown += [text.encode() for text in (*said, *command_lines())]
    assert [secret for secret in secret_texts(team) if any(secret in text for text in shown)] == []


def test_down_leaves_no_process_even_without_supervisor_and_up_again_has_all(
    team: Team, store: Any
) -> None:
    team.start("mlflow")
    kept, passwords = experiment(team, "kept"), team.env
    store.put_object(Bucket="digits", Key="kept", Body=b"1")
    pid = int((team.settings.folder / "run/supervisor.pid").read_text())
    os.kill(pid, signal.SIGKILL)
    down = command(team, "stop")
    assert (down.returncode, down.stdout, down.stderr) == (0, "", "")
    assert team.processes() == []
    for port in range(team.settings.first_port, team.settings.port("dask-http") + 1):
        socket.create_server(("127.0.0.1", port)).close()
    assert command(team, "stop").stdout == "nothing is up\n"

    only = command(team, "start", "postgres")
    assert (only.returncode, only.stderr) == (0, "")
    assert [team.answers(name) for name in ("postgres", "s3", "mlflow")] == [True, False, False]
    team.start("mlflow")
    assert experiment(team, "kept") == kept
    assert store.get_object(Bucket="digits", Key="kept")["Body"].read() == b"1"
    assert team.env == passwords
