"""Events for Prefect's automations, if a Prefect server is configured."""

import os
from pathlib import Path
from typing import Any


def emit(event: str, resource: dict[str, str], payload: dict[str, Any]) -> None:
    """Send an event about `resource` (its id and labels) to the Prefect server, if one answers."""
    # prefect.toml puts this project's profiles there
    if not os.environ.get("PREFECT_API_URL") and not Path(".prefect/profiles.toml").exists():
        return  # importing Prefect takes a second
    from prefect.events import emit_event
    from prefect.settings import PREFECT_API_URL

    if PREFECT_API_URL.value():
        emit_event(event, resource, payload=payload)
