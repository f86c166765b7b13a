"""What a Prefect flow adds to the MLflow runs of its stages once they are over.

`python -m digits.tracking.flow_runs FLOW_RUN_ID STAGE…` tags the runs of these stages as
having shared their cores with another training, so that their times are not compared.
"""

import sys

from mlflow import MlflowClient

from digits import process
from digits.tracking import store

SHARED = "shared_cores"


def tag_shared(flow_run_id: str, stages: list[str]) -> None:
    """Set the tag `shared_cores` on the runs that these stages logged in this flow run."""
    experiment_id = store.connect()
    client = MlflowClient()
    with store.service_errors():
        runs = client.search_runs([experiment_id], f"tags.prefect_flow_run_id = '{flow_run_id}'")
        for run in runs:
            if run.data.tags.get("dvc_stage") in stages:
                client.set_tag(run.info.run_id, SHARED, "true")


if __name__ == "__main__":
    process.run(lambda: tag_shared(sys.argv[1], sys.argv[2:]))
