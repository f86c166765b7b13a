"""Reading runs back from the tracking store."""

import mlflow

from digits.evaluation.seeds import SeedRun
from digits.tracking import store


def finished_runs() -> list[SeedRun]:
    """All finished runs of the experiment, the newest first.

    Restored ones are left out: they were trained elsewhere, so their times say nothing here.
    """
    experiment_id = store.connect()
    with store.service_errors():
        runs = mlflow.search_runs(
            [experiment_id],
            filter_string="attributes.status = 'FINISHED'",
            order_by=["attributes.start_time DESC"],
            output_format="list",
        )
    return [
        SeedRun(run.data.params, run.data.metrics, run.data.tags)
        for run in runs
        if "restored_from" not in run.data.tags
    ]
