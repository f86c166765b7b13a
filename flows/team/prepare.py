"""What the servers of a team need once: a database cluster, databases, buckets, clones."""

import os
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from digits.core.errors import ServiceError, one_line
from flows.team import programs, secrets
from flows.team.settings import BUCKETS, DATABASES, REGION, WORKERS, Settings

# What a worker's clone adds to DVC's configuration.
REMOTE = f"""[core]
    remote = team
['remote "team"']
    url = s3://{BUCKETS[0]}
    endpointurl = {{}}
"""


def make_cluster(settings: Settings, made: secrets.Passwords) -> None:
    """Make PostgreSQL's folder, unless it is there.

    Raises:
        ServiceError: it cannot be made.
    """
    folder = settings.folder / "postgres"
    if (folder / "data/PG_VERSION").exists():
        return
    folder.mkdir(mode=0o700, exist_ok=True)
    password = folder / "password"
    secrets.write(password, made["postgres"])
    user: dict[str, Any] = {}
    if programs.owner():
        user = {"user": programs.owner(), "group": programs.owner(), "extra_groups": []}
        for path in (folder, password):
            shutil.chown(path, programs.owner(), programs.owner())
    initdb = (programs.postgres_programs() / "initdb", "-D", "data", "--no-sync", "-E", "UTF8")
    login = ("-U", "postgres", "-A", "scram-sha-256", "--pwfile=password")
    try:
        _run(*initdb, *login, cwd=folder, **user)
    except PermissionError:
        raise ServiceError(
            f"{folder}: PostgreSQL refuses root, and user {programs.owner()} may not enter; "
            "use another account, or a clone in a folder that all may enter"
        ) from None
    finally:
        password.unlink()


def make_databases(settings: Settings, made: secrets.Passwords) -> None:
    """Make the role and the database of each server that has none yet."""
    import psycopg
    from psycopg import sql

    address = settings.database("postgres")
    with closing(psycopg.connect(address, password=made["postgres"], autocommit=True)) as database:
        there = {name for (name,) in database.execute("SELECT rolname FROM pg_roles")}
        for name in {*DATABASES} - there:
            # hashed here, so that no log of the server can hold the password
            hashed = database.pgconn.encrypt_password(made[name].encode(), name.encode())
            role = sql.Identifier(name)
            create = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, hashed.decode())
            database.execute(create)
            database.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(role, role))
            database.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(role))


def make_buckets(settings: Settings, made: secrets.Passwords) -> None:
    """Make the buckets that are missing."""
    import boto3
    from botocore.config import Config

    store = boto3.client(
        "s3",
        endpoint_url=settings.address("s3"),
        aws_access_key_id=made["s3-id"],
        aws_secret_access_key=made["s3"],
        region_name=REGION,
        config=Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 1}),
    )
    with closing(store):
        there = {bucket["Name"] for bucket in store.list_buckets()["Buckets"]}
        for name in {*BUCKETS} - there:
            store.create_bucket(Bucket=name)


def make_clone(settings: Settings, name: str) -> None:
    """Clone the repository for a worker, or move its clone to the commit that is checked out here.

    `origin` is a bare repository in the team's folder, whose branch `team` is that commit.
    The object store is DVC's remote; nothing else is shared with the repository.
    """
    origin, clone = settings.folder / "origin.git", settings.folder / name
    if not origin.exists():
        _git("clone", "--quiet", "--bare", settings.repository, origin)
    if not clone.exists():
        _git("clone", "--quiet", "--no-checkout", origin, clone)
    _git("-C", clone, "fetch", "--quiet", settings.repository, "HEAD")
    _git("-C", clone, "checkout", "--quiet", "--force", "--detach", "FETCH_HEAD")
    _git("-C", clone, "push", "--quiet", "--force", "origin", "HEAD:refs/heads/team")
    (clone / ".dvc/config.local").write_text(REMOTE.format(settings.address("s3")), "utf-8")


def add_remote(settings: Settings) -> None:
    """Name the object store as DVC's remote `team` for the one who types, who may have others."""
    command = [sys.executable, "-m", "dvc", "remote"]
    adding = ("add", "--force", "--local", "team", f"s3://{BUCKETS[0]}")
    _run(*command, *adding, cwd=settings.repository)
    where = ("endpointurl", settings.address("s3"))
    _run(*command, "modify", "--local", "team", *where, cwd=settings.repository)


def register(settings: Settings, env: dict[str, str]) -> None:
    """Register the deployments with Prefect's server, and the pool of the workers."""
    clone = settings.folder / WORKERS[0]
    code = {"PYTHONPATH": f"{clone}/src{os.pathsep}{clone}"}
    command = [sys.executable, "-m", "flows.deploy", "--git"]
    _run(*command, cwd=clone, env={**os.environ, **env, **code})


def _git(*arguments: str | Path) -> None:
    _run("git", *arguments)


def _run(*command: str | Path, **options: Any) -> None:
    options = {"capture_output": True, "text": True, "umask": 0o077, **options}
    done = subprocess.run(command, check=False, **options)
    if done.returncode:
        words = one_line(done.stderr or done.stdout, width=300)
        raise ServiceError(f"{Path(command[0]).name}: {words}")
