"""What runs in a team: the command, folder and variables of each server and worker."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from digits.core.errors import ServiceError
from digits.params import project
from flows.team import secrets
from flows.team.settings import BUCKETS, WORKER_ACCOUNT, WORKERS, Settings

MARK = "DIGITS_TEAM"  # variable by which the processes of a team are recognised
DEBIAN = Path("/usr/lib/postgresql")
# What must answer before, in the order of the start.
NEEDS: Mapping[str, tuple[str, ...]] = {
    "postgres": (),
    "s3": (),
    "nginx": (),
    "mlflow": ("postgres", "s3", "nginx"),
    "prefect": ("postgres", "nginx"),
    "dask": (),
    **{f"dask-{worker}": ("dask",) for worker in WORKERS},
    **dict.fromkeys(WORKERS, ("prefect",)),
}
# Dask's HTTP servers have no password, so they must tell nothing.
SILENT = {f"DASK_DISTRIBUTED__{role}__HTTP__ROUTES": "[]" for role in ("SCHEDULER", "WORKER")}
# Else Dask waits for ever, and says nothing, when all its workers are gone.
PATIENT = {"DASK_DISTRIBUTED__SCHEDULER__NO_WORKERS_TIMEOUT": "2m"}


class Program(NamedTuple):
    """One server or worker; sockets are relative to the folder, because their length is limited."""

    command: str
    folder: Path
    environment: Mapping[str, str]


def owner() -> str:
    """Who runs PostgreSQL: it refuses root, and Debian's package makes this user."""
    return "postgres" if os.geteuid() == 0 else ""


def postgres_programs() -> Path:
    """The folder of PostgreSQL's programs, which Debian keeps off the PATH.

    Raises:
        ServiceError: it is not installed.
    """
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    if not (places := sorted(DEBIAN.glob("*/bin/initdb"))):
        raise ServiceError("PostgreSQL: not found: apt-get install postgresql")
    return places[-1].parent


def nginx() -> str:
    """The path of nginx, which Debian keeps off the PATH of ordinary users.

    Raises:
        ServiceError: it is not installed.
    """
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"
    if not (found := shutil.which("nginx", path=path)):
        raise ServiceError("nginx: not found: apt-get install nginx-light")
    return found


def programs(settings: Settings, made: secrets.Passwords) -> dict[str, Program]:
    """All servers and workers by name."""
    folder = settings.folder
    passfile = {"PGPASSFILE": str(settings.secrets / "pgpass")}
    keys = secrets.s3(settings, made)
    dask = "--no-dashboard --host 127.0.0.1 --dashboard-address 127.0.0.1"
    mlflow = {
        "MLFLOW_BACKEND_STORE_URI": settings.database("mlflow"),
        "MLFLOW_S3_ENDPOINT_URL": settings.address("s3"),
    }
    prefect = {
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": settings.database(
            "prefect", "postgresql+asyncpg"
        ),
        "PREFECT_SERVER_UI_API_URL": f"{settings.address('prefect')}/api",
    }
    servers = {
        "postgres": Program(
            f"{postgres_programs()}/postgres -D data -p {settings.port('postgres')}"
            " -c listen_addresses=127.0.0.1 -c unix_socket_directories=",
            folder / "postgres",
            {},
        ),
        "s3": Program(_weed(settings), folder, _weed_keys(settings, made)),
        "nginx": Program(f"{nginx()} -p . -e stderr -c nginx.conf", folder, {}),
        "mlflow": Program(
            f"mlflow server --app-name digits --artifacts-destination s3://{BUCKETS[1]}/artifacts"
            " --workers 1 --uvicorn-opts '--uds run/mlflow.sock --log-level warning'",
            folder,
            {**passfile, **keys, **mlflow},
        ),
        "prefect": Program(
            "uvicorn --factory flows.support.server:app --log-level warning --uds run/prefect.sock",
            folder,
            {**passfile, **prefect},
        ),
        "dask": Program(
            f"dask scheduler --protocol tls --port {settings.port('dask')}"
            f" {dask}:{settings.port('dask-http')}",
            folder,
            {**secrets.tls(settings), **SILENT, **PATIENT},
        ),
    }
    return servers | _workers(settings, made)


def _workers(settings: Settings, made: secrets.Passwords) -> dict[str, Program]:
    """A worker of Prefect and one of Dask in each clone."""
    variables = secrets.client(settings, made, WORKER_ACCOUNT) | SILENT
    listening = "--no-dashboard --host 127.0.0.1 --dashboard-address 127.0.0.1:0"
    dask = f"dask worker {variables['DIGITS_DASK_SCHEDULER']} {listening} --nthreads 1 --no-nanny"
    found = {}
    for name in WORKERS:
        clone = settings.folder / name
        environment = variables | {
            "DIGITS_HOME": str(clone),
            "PYTHONPATH": f"{clone}/src{os.pathsep}{clone}",
        }
        joining = f"{dask} --local-directory ../run --name {name}"
        found[f"dask-{name}"] = Program(joining, clone, environment)
        pool = f"prefect worker start --pool {project().name} --name {name}"
        found[name] = Program(pool, clone, environment)
    return found


def _weed(settings: Settings) -> str:
    """S3 asks for a password, gRPC for the certificate; the other HTTP servers are off."""
    servers = ("s3", "master", "volume", "filer", "admin")
    ports = [f"-{name}.port={settings.port(name)}" for name in servers]
    ports += [f"-{name}.port.grpc={settings.port(f'{name}-grpc')}" for name in servers]
    off = "-disableHttp -webdav=false -admin.ui=false -s3.iam=false"
    off += " -s3.port.iceberg=0 -s3.port.lance=0"
    return f"weed mini -dir=s3 -ip=127.0.0.1 -ip.bind=127.0.0.1 {off} {' '.join(ports)}"


def _weed_keys(settings: Settings, made: secrets.Passwords) -> dict[str, str]:
    keys = {
        "AWS_ACCESS_KEY_ID": made["s3-id"],
        "AWS_SECRET_ACCESS_KEY": made["s3"],
        "WEED_JWT_SIGNING_KEY": made["weed-volume"],
        "WEED_JWT_SIGNING_READ_KEY": made["weed-volume-read"],
        "WEED_JWT_FILER_SIGNING_KEY": made["weed-filer"],
        "WEED_JWT_FILER_SIGNING_READ_KEY": made["weed-filer-read"],
        "WEED_GRPC_CA": str(settings.secrets / "cert.pem"),
    }
    for part in ("MASTER", "VOLUME", "FILER", "S3", "ADMIN", "WORKER", "CLIENT"):
        keys[f"WEED_GRPC_{part}_CERT"] = str(settings.secrets / "cert.pem")
        keys[f"WEED_GRPC_{part}_KEY"] = str(settings.secrets / "key.pem")
    return keys
