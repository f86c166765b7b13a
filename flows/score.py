"""The `score` flow: predictions for pictures or tables."""

from prefect import flow
from prefect.client.schemas.objects import State

import own_code as own_code
from digits.project import load_project
from imageproof.prefect import lifecycle, scoring


@flow(name="score")
@lifecycle.in_project
def score(
    source: str,
    output: str = "predictions.parquet",
    model: str = "",
    scheduler: str = "",
    missing: bool = False,
    overwrite: bool = False,
) -> State[None]:
    """Score images with a registered model.

    Args:
        source: A folder of pictures, a CSV, an npz or a Parquet file; a path or s3://….
        output: The Parquet file to write; or FOLDER/, for one of each table of `source`.
        model: models:/NAME/VERSION or models:/NAME@ALIAS; default: the champion.
        scheduler: Address of a Dask scheduler, to score each table on a worker; default: here.
        missing: Keep the predictions that are there, and write the others.
        overwrite: Replace the predictions that are there; no other file is replaced.
    """
    return scoring.score_source(
        load_project(),
        source,
        output,
        model=model,
        scheduler=scheduler,
        missing=missing,
        overwrite=overwrite,
    )


if __name__ == "__main__":
    lifecycle.run_as_program(score)
