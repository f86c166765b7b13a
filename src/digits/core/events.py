"""Events for Prefect's automations, if a Prefect server is configured.

They are sent by plain HTTP: importing Prefect takes a second, and its client would start a server.
"""

import os
import sys
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from digits.core.addresses import public

# where prefect.toml puts this project's profiles
PROFILES = Path(".prefect/profiles.toml")
TIMEOUT_S = (3, 5)  # to connect, to answer


def emit(event: str, resource: Mapping[str, str], payload: Mapping[str, Any]) -> None:
    """Send one event to the Prefect server, and wait until it is received.

    Without a configured server this does nothing. A server that fails costs a warning and at
    most TIMEOUT_S seconds, never an error.

    Args:
        event: The name of the event, such as `digits.promote`.
        resource: What the event is about: `prefect.resource.id`, and labels for automations.
        payload: Further data, ready for JSON.
    """
    address = _setting("PREFECT_API_URL")
    if not address:
        return
    import requests
    from requests.auth import HTTPBasicAuth

    login, key = _setting("PREFECT_API_AUTH_STRING"), _setting("PREFECT_API_KEY")
    user, _, password = login.encode().partition(b":")
    message = {"id": str(uuid4()), "occurred": datetime.now(UTC).isoformat(), "event": event}
    try:
        requests.post(
            f"{address.rstrip('/')}/events",
            json=[message | {"resource": dict(resource), "payload": dict(payload)}],
            headers={"Authorization": f"Bearer {key}"} if key else {},
            auth=HTTPBasicAuth(user, password) if login else None,
            timeout=TIMEOUT_S,
        ).raise_for_status()
    except requests.RequestException as error:
        answer = error.response
        problem = f"answered {answer.status_code}" if answer is not None else "no answer"
        print(
            f"warning: Prefect at {public(address)}: {problem}; the event {event} is lost"
            " (PREFECT_API_URL says which server is asked)",
            file=sys.stderr,
        )


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
