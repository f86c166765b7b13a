"""What Label Studio 1.23 exports as JSON of the tasks that it has imported."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from imageproof.labels.studio import Prediction, task
from imageproof.pictures.reading import read_and_hash

AT = "2026-11-30T16:18:02.660930Z"
PREDICTION = Prediction("models:/digits/3", "cat", 0.5)


def digest(path: Path) -> str:
    return read_and_hash(path, shape=(8, 8), fit="stretch")[1].hex()


def imported(pool: Path, file: str, **data: str) -> dict[str, Any]:
    """The task of a picture of the pool."""
    values = {"file": file, "hash": digest(pool / file), "only_train": "yes"}
    return task(pool / file, PREDICTION, **(values | data))


def annotation(
    *labels: str, by: int | Mapping[str, Any] = 1, at: str = AT, skipped: bool = False
) -> dict[str, Any]:
    """What a person says of a picture: one class, none, or several."""
    ends = {"from_name": "label", "to_name": "image", "type": "choices", "origin": "manual"}
    result = {"id": "x1", "value": {"choices": [*labels]}} | ends
    return {
        "id": 7,
        "completed_by": by,
        "result": [result] if labels else [],
        "was_cancelled": skipped,
        "ground_truth": False,
        "created_at": at,
        "updated_at": at,
        "draft_created_at": None,
        "lead_time": 1.5,
        "result_count": 1,
        "unique_id": "d7123835-31f4-4176-a61e-982a18d62338",
        "task": 1,
        "project": 1,
        "updated_by": 1,
        "parent_prediction": None,
    }


def exported(
    tasks: Sequence[Mapping[str, Any]], *annotations: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The tasks with the annotations of each."""
    return [
        {
            "id": number,
            "annotations": [*made],
            "drafts": [],
            "predictions": [number],
            "data": entry["data"],
            "meta": {},
            "created_at": AT,
            "updated_at": AT,
            "inner_id": number,
            "total_annotations": len(made),
            "cancelled_annotations": 0,
            "comment_count": 0,
            "last_comment_updated_at": None,
            "project": 1,
        }
        for number, (entry, made) in enumerate(zip(tasks, annotations, strict=True), 1)
    ]


def write(path: Path, tasks: object) -> Path:
    path.write_text(json.dumps(tasks), "utf-8")
    return path
