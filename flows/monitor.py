"""The `monitor` flow: drift of the images, share of unsure answers, and accuracy."""

import os
from typing import Annotated, Any

from prefect import flow
from prefect.artifacts import create_link_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import Field

from digits.core.artifacts import MONITOR, ROOT
from flows.score import drift_table
from flows.support import lifecycle
from flows.support.commands import run_digits
from flows.support.forms import VERSION, run_name
from flows.support.prefect_artifacts import artifact_key, show_markdown


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
        found = run_digits("monitor", source, *options)
        show_markdown(markdown(found), "monitoring", f"Monitored {source}")
        if server := os.environ.get("DIGITS_PAGES"):
            address = f"{server}/{MONITOR.relative_to(ROOT)}"
            key = artifact_key("monitoring-page")
            create_link_artifact(address, key=key, link_text="The page")
        drifted = ", ".join(found["drifted"]) or "nothing"
        return Completed(message=f"{found['rows']:,} rows; drifted: {drifted}")

    return lifecycle.run_in_project(work)


def markdown(found: dict[str, Any]) -> str:
    """Rows, drift, the share of unsure answers, and the accuracy beside the hold-out's."""
    lines = [
        f"{found['rows']:,} rows of `{found['source']}` by `{found['model']}`"
        + (f", until {found['until']}" if found["until"] else ""),
        "",
        *drift_table(found["drift"]),
        "",
    ]
    if found["unsure"] is not None:
        lines.append(f"- {100 * found['unsure']:.2f} % of the answers are unsure")
    if accuracy := found["accuracy"]:
        before = found["holdout"].get("accuracy")
        lines.append(
            f"- accuracy {100 * accuracy['value']:.2f} % on {accuracy['rows']:,} labelled rows"
            f" ({100 * accuracy['lower']:.2f} to {100 * accuracy['upper']:.2f} %)"
            + (f"; {100 * before:.2f} % on the hold-out" if before else "")
        )
    return "\n".join([*lines, *(f"- {warning}" for warning in found["warnings"])])
