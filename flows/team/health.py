"""Whether a server of a team answers a real request, and a worker has reported."""

import socket
from collections.abc import Callable
from functools import partial
from typing import Any

import requests

from digits.params import project
from flows.team import prepare, secrets
from flows.team.settings import WORKER_ACCOUNT, WORKERS, Settings


def answers(settings: Settings, made: secrets.Passwords, name: str) -> bool:
    """Whether a server or worker does its work."""
    checks: dict[str, Callable[[], object]] = {
        "postgres": partial(prepare.make_databases, settings, made),
        "s3": partial(prepare.make_buckets, settings, made),
        "nginx": partial(_refuses, settings),
        "mlflow": partial(_ask, settings, made, "mlflow", "health"),
        "prefect": partial(_ask, settings, made, "prefect", "api/ready"),
        "dask": partial(_connect, settings.port("dask")),
        **{worker: partial(_has_reported, settings, made, worker) for worker in WORKERS},
        **{f"dask-{w}": partial(_has_joined, settings, w) for w in WORKERS},
    }
    try:
        return checks[name]() is not False
    except Exception:  # each library has its own for a server that is not there yet
        return False


def _ask(
    settings: Settings, made: secrets.Passwords, name: str, path: str, json: Any = None
) -> "requests.Response":
    login = (WORKER_ACCOUNT, made[WORKER_ACCOUNT])
    address = f"{settings.address(name)}/{path}"
    method = "GET" if json is None else "POST"
    answer = requests.request(method, address, json=json, auth=login, timeout=10)
    answer.raise_for_status()
    return answer


def _refuses(settings: Settings) -> bool:
    return requests.get(settings.address("mlflow"), timeout=10).status_code == 401


def _connect(port: int) -> None:
    socket.create_connection(("127.0.0.1", port), 5).close()


def _has_reported(settings: Settings, made: secrets.Passwords, name: str) -> bool:
    path = f"api/work_pools/{project().name}/workers/filter"
    only = {"workers": {"status": {"any_": ["ONLINE"]}}}
    return name in [each["name"] for each in _ask(settings, made, "prefect", path, only).json()]


def _has_joined(settings: Settings, name: str) -> bool:
    from distributed import Client, Security

    files = {key: str(settings.secrets / f"{key}.pem") for key in ("cert", "key")}
    pair = {"tls_client_cert": files["cert"], "tls_client_key": files["key"]}
    security = Security(tls_ca_file=files["cert"], require_encryption=True, **pair)  # type: ignore[no-untyped-call]
    address = f"tls://127.0.0.1:{settings.port('dask')}"
    asking = {"security": security, "timeout": 10, "set_as_default": False}
    with Client(address, **asking) as client:  # type: ignore[no-untyped-call]
        return name in [each["name"] for each in client.scheduler_info()["workers"].values()]
