"""The `monitor` flow: drift of the images, share of unsure answers, and accuracy."""

from typing import Annotated

from prefect import flow
from prefect.client.schemas.objects import State
from pydantic import Field

import own_code as own_code
from digits.project import load_project
from imageproof.prefect import commands, lifecycle


@flow(name="monitor")
@lifecycle.in_project
def monitor(
    source: str = "log",
    labels: str = "",
    days: Annotated[int, Field(ge=1, le=36_500)] = 1,
    model: str = "",
) -> State[None]:
    """Compare what a model saw with what it was trained on, and its answers with the truth.

    Args:
        source: The log of a service; or a folder of pictures, a CSV, an npz or a Parquet file.
        labels: A CSV of true classes, if they have arrived.
        days: How many days of a log, up to its last row.
        model: models:/NAME/VERSION; default: who answered the log last, else the champion.
    """
    result = commands.run_command("monitor", source, days=days, labels=labels, model=model)
    return lifecycle.show_monitoring(load_project().name, result)


if __name__ == "__main__":
    lifecycle.run_as_program(monitor)
