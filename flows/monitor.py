"""The `monitor` flow: drift of the images, share of unsure answers, and accuracy."""

import os
from typing import Annotated

from prefect import flow
from prefect.artifacts import create_link_artifact
from prefect.client.schemas.objects import State
from pydantic import Field

from digits.core.artifacts import MONITOR, ROOT
from flows.score import completed, found
from flows.support import lifecycle
from flows.support.commands import run_digits
from flows.support.forms import VERSION, run_name
from flows.support.prefect_artifacts import artifact_key, only_shown, show_markdown


@flow(name="monitor", version=VERSION, flow_run_name=run_name)
def monitor(
    source: str = "log",
    labels: str = "",
    days: Annotated[int, Field(ge=1, le=36_500)] = 1,
    model: str = "",
) -> State[None]:
    """Compare what a model saw with what it was trained on, and its answers with the truth.

    Args:
        source: The folder that the service logs to; or a folder of pictures, a CSV or an npz.
        labels: A CSV or Parquet file of true classes, if they have arrived.
        days: Of a log, up to its last row.
        model: models:/NAME/VERSION; default: who answered the log last, else the champion.
    """

    def work() -> State[None]:
        options = ["--days", str(days)]
        options += ["--labels", labels] if labels else []
        options += ["--model", model] if model else []
        seen = run_digits("monitor", source, *options)
        lines = [
            f"{seen['rows']:,} rows of `{seen['source']}` by `{seen['model']}` {seen['until']}",
            *found(seen),
            f"- {100 * seen['unsure']:.2f} % of the answers are unsure",
        ]
        if accuracy := seen["accuracy"]:
            value, lower, upper = (100 * accuracy[key] for key in ("value", "lower", "upper"))
            on = f"on {accuracy['rows']:,} labelled rows ({lower:.2f} to {upper:.2f} %)"
            lines.append(f"- accuracy {value:.2f} % {on}")
        show_markdown("\n".join(lines), "monitoring", f"Monitored {source}")
        if server := os.environ.get("DIGITS_PAGES"):
            address = f"{server}/{MONITOR.relative_to(ROOT)}"
            key = artifact_key("monitoring-page")
            with only_shown("monitoring-page"):
                create_link_artifact(address, key=key, link_text="The page")
        return completed(seen)

    return lifecycle.run_in_project(work)
