"""Let the Prefect server call a webhook when a run of a deployment fails or crashes.

python flows/notify.py URL

It posts {"text": …}, as Slack and Mattermost expect. Another URL replaces the first. In Prefect's
UI it is the automation `<project>-failed`, which can be paused there.
"""

from typing import Annotated, cast
from uuid import UUID

import typer
from prefect.automations import Automation
from prefect.blocks.webhook import Webhook
from prefect.events import EventTrigger
from prefect.events.actions import CallWebhook

from digits.core import process
from digits.params import project
from flows.support.server import ensure_server

PAYLOAD = """\
{% set parts = [flow.name, flow_run.name, flow_run.state.name, flow_run.state.message or ""] %}\
{"text": {{ (parts | join(" · ") ~ "\\n" ~ flow_run | ui_url) | tojson }}}"""


def main(url: Annotated[str, typer.Argument(help="Of the webhook.")]) -> None:
    """Create the automation, or change its URL."""
    ensure_server()
    named = project()
    name = named.part("failed")
    block = Webhook(url=url)  # type: ignore[arg-type]
    # typed as a coroutine too, but plain where no event loop runs
    block_id = cast(UUID, block.save(name, overwrite=True))
    automation = Automation(
        name=name,
        description=f"Tell a webhook when a run of a deployment of {named.name} fails or crashes.",
        trigger=EventTrigger(
            expect={"prefect.flow-run.Failed", "prefect.flow-run.Crashed"},
            # subflows have no deployment and would report the same failure twice
            match_related={
                "prefect.resource.id": "prefect.deployment.*",
                "prefect.resource.name": [named.name, named.part("nightly")],
            },
            for_each={"prefect.resource.id"},
        ),
        actions=[CallWebhook(block_document_id=block_id, payload=PAYLOAD)],
    )
    try:
        Automation.read(name=name)  # type: ignore[unused-coroutine]
    except ValueError:  # there is none yet
        automation.create()


if __name__ == "__main__":
    process.run_program(lambda: typer.run(main))
