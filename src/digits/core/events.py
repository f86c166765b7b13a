"""Events for Prefect's automations, if a Prefect server is configured.

They are sent by plain HTTP: importing Prefect takes a second, and its client would start a server.
"""

import json
import os
import sys
import time
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from filelock import FileLock, Timeout

from digits.core.addresses import public
from digits.core.files import write_json
from digits.core.process import project_root

# where prefect.toml puts this project's profiles
PROFILES = Path(".prefect/profiles.toml")
TIMEOUT_S = (3, 5)  # to connect, to answer
FOLDER = Path(".state/events")  # those that no server has got
MOST = 100  # of them; older ones are dropped
UNREADABLE = 422  # HTTP's code for an event that no second try mends


def emit(event: str, resource: Mapping[str, str], payload: Mapping[str, Any]) -> None:
    """Send one event to the Prefect server, after those that wait.

    Without a configured server this does nothing. If the server does not answer within TIMEOUT_S,
    or fails, this prints a warning, and the event waits on disk: the next call sends it first.
    Prefect stores an event once, by its id, though it may be sent twice.

    Args:
        event: The name of the event, such as `digits.promote`.
        resource: What the event is about: `prefect.resource.id`, and labels for automations.
        payload: Further data, ready for JSON.
    """
    address = _setting("PREFECT_API_URL")
    if not address:
        return
    message = {
        "id": str(uuid4()),
        "occurred": datetime.now(UTC).isoformat(),
        "event": event,
        "resource": dict(resource),
        "payload": dict(payload),
    }
    folder = project_root() / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / f"{time.time_ns()}-{message['id']}.json", message)
    try:
        with FileLock(folder / "lock", timeout=sum(TIMEOUT_S)):
            problem = _send_all(folder, address.rstrip("/"))
    except Timeout:
        problem = "another process is sending"
    if problem:
        print(
            f"warning: Prefect at {public(address)}: {problem}; the event {event} waits for the"
            " next one (PREFECT_API_URL says which server is asked)",
            file=sys.stderr,
        )


def _send_all(folder: Path, address: str) -> str:
    """Send events in order, and remove what is sent; returns why some are left, or nothing."""
    import requests
    from requests.auth import HTTPBasicAuth

    login, key = _setting("PREFECT_API_AUTH_STRING"), _setting("PREFECT_API_KEY")
    user, _, password = login.encode().partition(b":")
    paths = sorted(folder.glob("*.json"))
    for path in paths[:-MOST]:
        path.unlink()
    try:
        for path in paths[-MOST:]:
            answer = requests.post(
                f"{address}/events",
                json=[json.loads(path.read_text(encoding="utf-8"))],
                headers={"Authorization": f"Bearer {key}"} if key else {},
                auth=HTTPBasicAuth(user, password) if login else None,
                timeout=TIMEOUT_S,
            )
            if answer.status_code == UNREADABLE:
                print(f"warning: Prefect cannot read the event {path}: dropped", file=sys.stderr)
            elif not answer.ok:
                return f"answered {answer.status_code}"
            path.unlink()
    except requests.RequestException:
        return "no answer"
    return ""


def _setting(name: str) -> str:
    """A Prefect setting from the environment or the active profile; empty if it is not set."""
    if name in os.environ:
        return os.environ[name]
    try:
        profiles = tomllib.loads(PROFILES.read_text(encoding="utf-8"))
        active = os.environ.get("PREFECT_PROFILE") or profiles["active"]
        return str(profiles["profiles"][active][name])
    except (OSError, LookupError, TypeError, ValueError):
        return ""
