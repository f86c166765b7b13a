"""Have the Prefect server tell a webhook when a run of a deployment fails or crashes.

python flows/notify.py URL

What it posts, {"text": …}, is what Slack, Mattermost and the like take. Another URL replaces the
first. In Prefect's UI it is the automation `digits-failed`, which can be paused there.
"""

from typing import Annotated, cast
from uuid import UUID

import typer
from prefect.automations import Automation
from prefect.blocks.webhook import Webhook
from prefect.events import EventTrigger
from prefect.events.actions import CallWebhook

from digits.core import process
from flows.support.server import ensure_server

NAME = "digits-failed"
PAYLOAD = """\
{% set said = [flow.name, flow_run.name, flow_run.state.name, flow_run.state.message or ""] %}\
{"text": {{ (said | join(" · ") ~ "\\n" ~ flow_run | ui_url) | tojson }}}"""


def main(url: Annotated[str, typer.Argument(help="Of the webhook.")]) -> None:
    """Make the automation, or give it another URL."""
    ensure_server()
    block = Webhook(url=url)  # type: ignore[arg-type]
    # Prefect types as coroutines, too, what is plain where no event loop runs
    block_id = cast(UUID, block.save(NAME, overwrite=True))
    wanted = Automation(
        name=NAME,
        description="Tell a webhook when a run of a deployment fails or crashes.",
        trigger=EventTrigger(
            expect={"prefect.flow-run.Failed", "prefect.flow-run.Crashed"},
            # flows within flows have no deployment, and would tell the same twice
            match_related={"prefect.resource.id": "prefect.deployment.*"},
            for_each={"prefect.resource.id"},
        ),
        actions=[CallWebhook(block_document_id=block_id, payload=PAYLOAD)],
    )
    try:
        Automation.read(name=NAME)  # type: ignore[unused-coroutine]
    except ValueError:  # there is none yet
        wanted.create()


if __name__ == "__main__":
    process.run_program(lambda: typer.run(main))
