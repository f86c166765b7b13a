"""Score tables in other processes, such as workers of Dask."""

import mlflow

from imageproof.answer._score import write_predictions
from imageproof.mlflow import _store
from imageproof.registry._version import load_version
from imageproof.system import _process


def write_on_worker(
    source: str,
    output: str,
    *,
    tracking_uri: str,
    uri: str,
    coverage: float,
) -> int:
    """`write_predictions` by the version at `uri`, in a process without MLflow's settings."""
    _process.set_environment()
    mlflow.set_tracking_uri(tracking_uri)
    with _store.service_errors(), load_version(uri, threads=1) as model:
        return write_predictions(source, output, model, coverage)
