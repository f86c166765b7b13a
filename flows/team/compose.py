"""compose.yaml: what `make team` starts as containers; written by python -m flows.team compose.

All have one image, the network of the machine, and the clone under its own path, so that addresses,
files and sockets are those of `make team`.
"""

from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import LiteralScalarString

from flows.team import programs, secrets
from flows.team.settings import FOLDER, WORKERS, Settings

HERE = Path("/clone")  # stands for ${PWD}
HEAD = """\
# Written by `python -m flows.team compose`, from what `make team` starts; a test compares the two.
# Nobody has started it yet: the machines on which this project is built run no containers.
#
#     docker compose build
#     docker compose run --rm prepare    # passwords, certificate, PostgreSQL's folder, clones
#     docker compose up --detach
"""
# Debian 12 has PostgreSQL 15.
DOCKERFILE = r"""FROM python:3.11-slim-bookworm
RUN apt-get update \
    && apt-get install -y --no-install-recommends git nginx-light openssl postgresql \
    && ln -s /usr/lib/postgresql/15/bin/* /usr/local/bin/ \
    && git config --system safe.directory '*'
WORKDIR /digits
COPY environment.sh requirements.lock pyproject.toml README.md LICENSE NOTICE ./
COPY src src
COPY flows flows
RUN git init --quiet && sh environment.sh
ENV PATH=/digits/.venv/bin:$$PATH
"""


def text() -> str:
    """The content of compose.yaml.

    Raises:
        ServiceError: PostgreSQL or nginx is not installed.
    """
    settings = Settings(HERE, HERE / FOLDER)
    found = programs.programs(settings, dict.fromkeys(secrets.names(), ""))
    once: dict[str, Any] = {**_common(), "restart": "no"}
    services = {
        "prepare": {**once, "profiles": ["prepare"], "command": "python -m flows.team prepare"},
        **{name: _service(name, program) for name, program in found.items()},
        "deploy": {
            **once,
            "command": "python -m flows.deploy --git",
            "working_dir": str(settings.folder / WORKERS[0]),
            "env_file": [f"{FOLDER}/secrets/{WORKERS[0]}.env"],
            "depends_on": {"prefect": {"condition": "service_healthy"}},
        },
    }
    build = {"context": ".", "dockerfile_inline": LiteralScalarString(DOCKERFILE)}
    services["prepare"]["build"] = build
    for name in WORKERS:
        services[name]["depends_on"]["deploy"] = {"condition": "service_completed_successfully"}
    written = StringIO()
    yaml = YAML()
    yaml.width = 1000
    yaml.representer.ignore_aliases = lambda *_: True
    yaml.dump({"name": "digits-team", "services": services}, written)
    return HEAD + written.getvalue().replace(str(HERE), "${PWD}")


def _service(name: str, program: programs.Program) -> dict[str, Any]:
    path, _, rest = program.command.partition(" ")
    needed = {each: {"condition": "service_healthy"} for each in programs.NEEDS[name]}
    return {
        **_common(),
        "command": f"{_as_owner(name)}{Path(path).name} {rest}",
        "working_dir": str(program.folder),
        "env_file": [f"{FOLDER}/secrets/{name}.env"],
        "restart": "always",
        **({"stop_signal": "SIGINT"} if name == "postgres" else {}),
        **({"depends_on": needed} if needed else {}),
        "healthcheck": {
            "test": f"cd {HERE} && python -m flows.team answers {name}",
            "interval": "5m",
            "timeout": "30s",
            "start_period": "3m",
            "start_interval": "5s",
        },
    }


def _as_owner(name: str) -> str:
    """PostgreSQL refuses root, as whom the check of its health reads the passwords."""
    own = "setpriv --reuid=postgres --regid=postgres --clear-groups "
    return own if name == "postgres" else ""


def _common() -> dict[str, Any]:
    return {
        "image": "digits-team",
        "network_mode": "host",
        "working_dir": str(HERE),
        "volumes": [f"{HERE}:{HERE}"],
    }
