"""Where the servers of a team keep their data, and under which ports and names they answer."""

import getpass
import os
from dataclasses import dataclass
from pathlib import Path

from digits.core.errors import UsageError

FOLDER = ".team"
FIRST_PORT = 15000
# Only the first five are for users.
PORTS = (
    *("mlflow", "prefect", "postgres", "s3", "dask"),
    *("s3-grpc", "master", "master-grpc", "volume", "volume-grpc", "filer", "filer-grpc"),
    *("admin", "admin-grpc", "dask-http"),
)
DATABASES = ("mlflow", "prefect", "optuna")  # each with a role of its own, by the same name
BUCKETS = ("digits", "mlflow")  # DVC's remote, and MLflow's artifacts
WORKERS = ("worker-1", "worker-2")
WORKER_ACCOUNT = "worker"
REGION = "us-east-1"
LONGEST_SOCKET = 100  # characters: the kernel takes 107


@dataclass(frozen=True)
class Settings:
    """A team: the repository whose code the workers run, and the folder of everything else."""

    repository: Path
    folder: Path
    first_port: int = FIRST_PORT

    def port(self, name: str) -> int:
        """The port of a server."""
        return self.first_port + PORTS.index(name)

    def address(self, name: str) -> str:
        """The address of an HTTP server."""
        return f"http://127.0.0.1:{self.port(name)}"

    def database(self, name: str, driver: str = "postgresql") -> str:
        """The address of a database, without the password: libpq and asyncpg read PGPASSFILE."""
        return f"{driver}://{name}@127.0.0.1:{self.port('postgres')}/{name}"

    @property
    def secrets(self) -> Path:
        """The folder of what nobody else may read."""
        return self.folder / "secrets"

    @property
    def supervisor(self) -> Path:
        """The socket by which the servers are started and stopped."""
        return self.folder / "run/supervisor.sock"


def account() -> str:
    """The account of the person who types."""
    return getpass.getuser()


def load(repository: Path) -> Settings:
    """The settings of the team in a repository; `TEAM_PORT` is the first of its ports.

    Raises:
        UsageError: `TEAM_PORT` is no such port, or the folder's path is too long for a socket.
    """
    text, highest = os.environ.get("TEAM_PORT") or str(FIRST_PORT), 2**16 - len(PORTS)
    if not text.isdecimal() or not 1024 <= int(text) <= highest:
        raise UsageError(f"TEAM_PORT: {text!r} is no port; 1024 to {highest} is allowed")
    settings = Settings(repository, repository / FOLDER, int(text))
    if len(os.fsencode(settings.supervisor)) > LONGEST_SOCKET:
        raise UsageError(
            f"{settings.supervisor}: longer than {LONGEST_SOCKET} bytes; move the clone"
        )
    return settings
