"""Reading runs back from the tracking store."""

import mlflow

from digits.summary import SeedRun
from digits.tracking import store


def finished_runs() -> list[SeedRun]:
    """All finished runs of the experiment, the newest first."""
    experiment_id = store.connect()
    with store.service_errors():
        runs = mlflow.search_runs(
            [experiment_id],
            filter_string="attributes.status = 'FINISHED'",
            order_by=["attributes.start_time DESC"],
            output_format="list",
        )
    return [SeedRun(run.data.params, run.data.metrics) for run in runs]
