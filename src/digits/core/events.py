"""Events for Prefect's automations, if a Prefect server is configured."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PROFILES = Path(".prefect/profiles.toml")  # where prefect.toml puts this project's profiles


def emit(event: str, resource: Mapping[str, str], payload: Mapping[str, Any]) -> None:
    """Send one event to the Prefect server; without a configured server this does nothing.

    A server that does not answer costs some seconds and a line of Prefect's; the event is lost.

    Args:
        event: The name of the event, such as `digits.promote`.
        resource: What the event is about: `prefect.resource.id`, and labels for automations.
        payload: Further data, ready for JSON.
    """
    if not os.environ.get("PREFECT_API_URL") and not PROFILES.exists():
        return  # importing Prefect takes a second
    from prefect.events import emit_event
    from prefect.settings import PREFECT_API_URL

    if PREFECT_API_URL.value():
        emit_event(event, dict(resource), payload=dict(payload))
