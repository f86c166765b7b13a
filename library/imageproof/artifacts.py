"""Where the stages write under artifacts/, and how their outputs are read back."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from imageproof import outputs
from imageproof.base.dataset import SPLITS
from imageproof.base.naming import project_name
from imageproof.data import packed
from imageproof.dvc.provenance import ARTIFACTS, recorded_outputs
from imageproof.outputs import SPLIT_TAGS, RunRecord
from imageproof.project import Layout

if TYPE_CHECKING:
    import pandas as pd

PACK = ARTIFACTS / "pack"
VALIDATION = ARTIFACTS / "validate" / "result.json"
DATA_DOCS = ARTIFACTS / "validate" / "data_docs"  # of Great Expectations
EXPLORE = ARTIFACTS / "explore"
SPLIT_SUMMARY = ARTIFACTS / "split" / "split.json"
COMPARE = ARTIFACTS / "compare"
COMPARISON = COMPARE / "comparison.json"
LEARNING_CURVES = COMPARE / "learning_curves.csv"
CONFUSION = COMPARE / "confusion.csv"
REPORT = ARTIFACTS / "report" / "index.html"
RUNS = ARTIFACTS / "runs"  # a page per training, which redirects to its run in MLflow
MONITOR = ARTIFACTS / "monitor" / "monitor.html"


def run_page(run: RunRecord) -> str:
    """Address of a run in the report; it also finds the run that the command `restore` logs."""
    if not run.tracking_uri.startswith("http"):
        return f"../{RUNS.name}/{run.run_id}.html"  # which `make ui` writes
    where = quote(f"tags.`{project_name()}.training` = '{run.run_id}'")
    runs = f"experiments/{run.experiment_id}/runs?searchFilter={where}"
    return f"{run.tracking_uri.rstrip('/')}/#/{runs}&workflowType=machine_learning"


def split_path(name: str) -> Path:
    return ARTIFACTS / "split" / f"{name}.npz"


def split_tags(read: Mapping[str, str]) -> dict[str, str]:
    """The md5 of each split as tags: as given in `read` (split to md5), else as in dvc.lock."""
    recorded = recorded_outputs()
    digests = {name: recorded.get(split_path(name), "") for name in SPLITS} | dict(read)
    return {SPLIT_TAGS[name]: digests[name] for name in SPLITS if digests[name]}


def copies_found(summary: Mapping[str, Any]) -> list[str]:
    """A line if rows that judge a model are copies of its training rows, by split.json."""
    rows, copies = summary["rows"], summary["copies"]
    found = [f"{n:,} of {rows[part]:,} {part}" for part, n in copies.items() if n]
    mend = "accuracy on them is too high; set split.copies: drop (or together)"
    return [f"{', '.join(found)} rows are copies of training images: {mend}"] if found else []


def class_names(classes: int, named: Sequence[str] | None) -> list[str]:
    """One name per class: of params.yaml, else of folders or labels.csv, else the numbers."""
    if not named and (summary := PACK / packed.SUMMARY).exists():
        named = packed.load_summary(summary.parent)["class_names"]
    fits = named and len(named) == classes  # else it was packed with other params
    return list(named) if named and fits else [str(label) for label in range(classes)]


def names_of(rows: np.ndarray) -> tuple[str, list[str]]:
    """What packed images are called, such as `rows of data/x, counted from 0`, and their names."""
    import pandas as pd

    table = pd.read_parquet(PACK / packed.ROWS, columns=["file", "name"]).iloc[rows]
    if (table["name"] == table["file"]).all():
        return "named by their files in data", table["name"].tolist()
    return f"rows of {table['file'].iloc[0]}, counted from 0", table["name"].tolist()


def metadata(rows: np.ndarray, root: Path = Path()) -> "pd.DataFrame":
    """See `packed.load_metadata`."""
    return packed.load_metadata(root / PACK, rows)


class TrainOutputs(outputs.TrainOutputs):
    """artifacts/train/<model>/ in `root`."""

    def __init__(self, model: str, root: Path = Path()) -> None:
        super().__init__(root / ARTIFACTS / "train" / model)


class EvaluateOutputs(outputs.EvaluateOutputs):
    """artifacts/evaluate/<model>/ in `root`."""

    def __init__(self, model: str, root: Path = Path()) -> None:
        super().__init__(root / ARTIFACTS / "evaluate" / model)
        self.reliability = self.folder / "reliability.csv"
        self.confused = self.folder / "most_confused.csv"
        self.mistakes = self.folder / "mistakes.png"  # the most confident ones on the test split

    def alluvial(self, split: str) -> Path:
        """Picture of a split's flow from reference to prediction."""
        return self.folder / f"{split}_alluvial.png"


LAYOUT = Layout(
    split=split_path,
    split_summary=SPLIT_SUMMARY,
    validation=VALIDATION,
    packed_rows=PACK / packed.ROWS,
    metadata=metadata,
    trained=TrainOutputs,
    evaluated=EvaluateOutputs,
)
