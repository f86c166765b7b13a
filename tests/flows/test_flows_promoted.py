"""An automation of Prefect that starts GitHub's workflow when a model became champion."""

import re
from contextlib import ExitStack

import pytest
import yaml
from forge import TOKEN, Message, github
from helpers import until
from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import get_client
from prefect.events import emit_event
from prefect.events.schemas.automations import AutomationCore
from support import REPOSITORY


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server")
def test_automation_calls_github() -> None:
    page = (REPOSITORY / "docs/how-to/promotion.md").read_text("utf-8")
    [path] = re.findall(r'url="https://api\.github\.com(/repos/\S+)", headers', page)
    resource = {
        "prefect.resource.id": "digits.champion",
        "digits.model": "digits",
        "digits.version": "4",
    }
    with ExitStack() as stack:
        address, messages = stack.enter_context(github())
        headers = {"Authorization": f"Bearer {TOKEN}"}
        block = Webhook(url=f"{address}{path}", headers=headers).save("promoted", overwrite=True)
        text = (REPOSITORY / "deploy/promoted.yaml").read_text("utf-8")
        automation = yaml.safe_load(text.replace("BLOCK", str(block)))
        client = stack.enter_context(get_client(sync_client=True))
        core = AutomationCore.model_validate(automation)
        stack.callback(client.delete_automation, client.create_automation(core))
        emit_event("digits.drift", resource=resource)
        emit_event("digits.promote", resource=resource)
        assert until(lambda: bool(messages), seconds=60)
        payload = {"event_type": "promoted", "client_payload": {"model": "models:/digits/4"}}
        assert messages == [Message(path, f"Bearer {TOKEN}", payload)]
