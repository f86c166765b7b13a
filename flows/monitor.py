"""The `monitor` flow: drift of the images, share of unsure answers, and accuracy."""

import os
from typing import Annotated

from prefect import flow
from prefect.artifacts import create_link_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import Field

from digits.core.artifacts import MONITOR, ROOT
from flows.support import lifecycle
from flows.support.commands import run_digits
from flows.support.forms import VERSION
from flows.support.prefect_artifacts import artifact_key, show_table


@flow(name="monitor", version=VERSION)
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
        found = run_digits("monitor", source, *options)
        lines = [f"{found['rows']:,} rows of {source} by {found['model']}"]
        if found["unsure"] is not None:
            lines.append(f"{found['unsure']:.2%} of the answers are unsure")
        if accuracy := found["accuracy"]:
            lines.append(f"accuracy {accuracy['value']:.2%} on {accuracy['rows']:,} labelled rows")
        show_table(found["drift"], "monitoring", "\n\n".join([*lines, *found["warnings"]]))
        if server := os.environ.get("DIGITS_PAGES"):
            key = artifact_key("monitoring-page")
            create_link_artifact(f"{server}/{MONITOR.relative_to(ROOT)}", "The page", key=key)
        drifted = ", ".join(found["drifted"]) or "nothing"
        return Completed(message=f"{found['rows']:,} rows; drifted: {drifted}")

    return lifecycle.run_in_project(work)
