"""Events for Prefect's automations, if a Prefect server is configured."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PROFILES = Path(".prefect/profiles.toml")  # where prefect.toml puts this project's profiles


def emit(event: str, resource: Mapping[str, str], payload: Mapping[str, Any]) -> None:
    """Send one event, such as `digits.promote`, to the Prefect server if one is configured.

    `resource` is what it is about: `prefect.resource.id`, and labels for automations. If the
    server does not answer, the event is lost.
    """
    if not os.environ.get("PREFECT_API_URL") and not PROFILES.exists():
        return  # importing Prefect takes a second
    from prefect.events import emit_event
    from prefect.settings import PREFECT_API_URL

    if PREFECT_API_URL.value():
        emit_event(event, dict(resource), payload=dict(payload))
