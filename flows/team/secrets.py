"""Passwords and keys of a team: made once, kept in files that only their owner reads."""

import base64
import hashlib
import json
import os
import secrets
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path

from digits.core.files import replacing
from flows.team.settings import DATABASES, REGION, WORKER_ACCOUNT, Settings, account

DAYS = 3650
Passwords = Mapping[str, str]


def names() -> list[str]:
    """What there are passwords for."""
    signing = [f"weed-{part}" for part in ("volume", "volume-read", "filer", "filer-read")]
    return ["postgres", *DATABASES, "s3-id", "s3", account(), WORKER_ACCOUNT, *signing]


def passwords(settings: Settings) -> Passwords:
    """The passwords by what they are for; missing ones are made, of 160 bits each."""
    path = settings.secrets / "passwords.json"
    kept = json.loads(path.read_text("utf-8")) if path.exists() else {}
    made = {name: secrets.token_hex(20) for name in names()} | kept
    write(path, json.dumps(made, indent=1) + "\n")
    return made


def write(path: Path, text: str) -> None:
    """Write a file that only its owner reads, also while it is written."""
    with replacing(path) as temporary:
        temporary.touch(0o600)
        temporary.write_text(text, "utf-8")


def write_all(settings: Settings) -> Passwords:
    """Write every file of secrets anew, except passwords and certificate, which stay."""
    made = passwords(settings)
    port = settings.port("postgres")
    roles = {"postgres": "*"} | {name: name for name in DATABASES}
    lines = [f"127.0.0.1:{port}:{database}:{role}:{made[role]}" for role, database in roles.items()]
    write(settings.secrets / "pgpass", "\n".join(lines) + "\n")
    hashed = [f"{name}:{_hashed(made[name])}" for name in {account(), WORKER_ACCOUNT}]
    write(settings.secrets / "htpasswd", "\n".join(hashed) + "\n")
    _make_certificate(settings.secrets)
    variables = client(settings, made, account())
    exports = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    write(settings.folder / "env", "\n".join(exports) + "\n")
    return made


def client(settings: Settings, made: Passwords, user: str) -> dict[str, str]:
    """The variables by which a user reaches all servers."""
    basic = base64.b64encode(f"{user}:{made[user]}".encode()).decode()
    dask = f"tls://127.0.0.1:{settings.port('dask')}"
    return {
        "MLFLOW_TRACKING_URI": settings.address("mlflow"),
        "MLFLOW_TRACKING_USERNAME": user,
        "MLFLOW_TRACKING_PASSWORD": made[user],
        "PREFECT_API_URL": f"{settings.address('prefect')}/api",
        "PREFECT_API_AUTH_STRING": f"{user}:{made[user]}",
        # Prefect's subscribers to events send the string within the socket only, after the proxy
        "PREFECT_CLIENT_CUSTOM_HEADERS": json.dumps({"Authorization": f"Basic {basic}"}),
        "PGPASSFILE": str(settings.secrets / "pgpass"),
        "DIGITS_SWEEP_STORAGE": settings.database("optuna"),
        "DIGITS_DASK_SCHEDULER": dask,
        **s3(settings, made),
        **tls(settings),
    }


def s3(settings: Settings, made: Passwords) -> dict[str, str]:
    """The variables by which libraries reach the object store."""
    return {
        "AWS_ENDPOINT_URL": settings.address("s3"),
        "AWS_ACCESS_KEY_ID": made["s3-id"],
        "AWS_SECRET_ACCESS_KEY": made["s3"],
        "AWS_DEFAULT_REGION": REGION,
    }


def tls(settings: Settings) -> dict[str, str]:
    """The variables by which Dask's scheduler, workers and clients know each other."""
    pair = {"CERT": "cert.pem", "KEY": "key.pem"}
    files = {"CA_FILE": "cert.pem"} | {
        f"{role}__{kind}": name
        for role in ("CLIENT", "SCHEDULER", "WORKER")
        for kind, name in pair.items()
    }
    prefix = "DASK_DISTRIBUTED__COMM__"
    named = {f"{prefix}TLS__{key}": str(settings.secrets / name) for key, name in files.items()}
    return named | {f"{prefix}REQUIRE_ENCRYPTION": "true"}


def _hashed(password: str) -> str:
    """For nginx. One round of SHA-1 is enough: nobody can guess 160 random bits."""
    salt = os.urandom(8)
    digest = hashlib.sha1(password.encode() + salt, usedforsecurity=False).digest()
    return "{SSHA}" + base64.b64encode(digest + salt).decode()


def _make_certificate(folder: Path) -> None:
    """One certificate for all that speak to Dask's scheduler or within the object store."""
    if (folder / "cert.pem").exists():
        return
    names = "subjectAltName=IP:127.0.0.1,DNS:localhost"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    with replacing(folder / "cert.pem") as cert:
        command = [
            "openssl",
            "req",
            "-x509",
            *curve,
            "-days",
            str(DAYS),
            "-subj",
            "/CN=digits-team",
        ]
        files = ["-addext", names, "-keyout", str(folder / "key.pem"), "-out", str(cert)]
        subprocess.run([*command, *files], check=True, capture_output=True, umask=0o077)
