"""The stage `report`: the outputs of the other stages as one page that needs no network."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from imageproof.artifacts import WORKSPACE
from imageproof.base._dataset import EVALUATED
from imageproof.base.files import read_json, write_text
from imageproof.judge import _leaderboard
from imageproof.judge._caret import Statistics
from imageproof.report._page import ModelResult, ReportContent, SplitResult, render

RAW_DATA_PICTURES = {
    "class_distribution": "Images of each class, with their share",
    "samples": "Samples of each class",
    "mean": "Pixel-wise mean of each class",
    "median": "Pixel-wise median of each class",
    "standard_deviation": "Pixel-wise standard deviation of each class",
}


def write_report(models: Sequence[str], *, pictures: Mapping[str, str]) -> None:
    """Write the page.

    `pictures` of the project's own are files in a model's folder of `evaluate`, by their captions.
    """
    summary = WORKSPACE.read_split_summary()
    comparison = read_json(WORKSPACE.comparison, _leaderboard.Comparison)
    table = _leaderboard.cells(comparison.models, comparison.baseline)
    content = ReportContent(
        verdicts=comparison.verdicts,
        table={cells.pop("model"): cells for cells in table},
        pairs=comparison.pairs,
        models=[_read_model(model, summary["rows"], pictures) for model in models],
        validation=read_json(WORKSPACE.validation, dict[str, Any]),
        pareto=(WORKSPACE.compare / "pareto.png").read_bytes(),
        learning_curves=(WORKSPACE.compare / "learning_curves.png").read_bytes(),
        raw_data={
            caption: (WORKSPACE.explore / f"{name}.png").read_bytes()
            for name, caption in RAW_DATA_PICTURES.items()
        },
        sources=summary["sources"],
    )
    write_text(WORKSPACE.report, render(content))


def _read_model(model: str, rows: Mapping[str, int], pictures: Mapping[str, str]) -> ModelResult:
    """One model's part of the page, from the outputs of `train` and `evaluate`."""
    evaluated = WORKSPACE.evaluated(model)
    scores = evaluated.read_metrics()
    statistics = evaluated.read_statistics()
    names = {"reference": str, "prediction": str}
    confused = pd.read_csv(evaluated.confused, dtype=names, keep_default_na=False)
    return ModelResult(
        name=model,
        run=WORKSPACE.trained(model).read_run(),
        splits=[
            SplitResult(
                name=split,
                rows=rows[split],
                statistics=Statistics(**statistics[split]),
                scores=scores[split],
                matrix=evaluated.matrix_picture(split).read_bytes(),
                alluvial=evaluated.alluvial(split).read_bytes(),
                confused=confused[confused["split"] == split],
            )
            for split in EVALUATED
        ],
        behaviour=evaluated.read_behaviour(),
        confidence=evaluated.read_confidence(),
        slices=evaluated.read_slices(),
        reliability=evaluated.reliability.with_suffix(".png").read_bytes(),
        mistakes=evaluated.mistakes.read_bytes(),
        pictures={
            caption: (evaluated.folder / name).read_bytes() for caption, name in pictures.items()
        },
    )
