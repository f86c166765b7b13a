"""Where the stages write under artifacts/, and how their outputs are read back."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from imageproof.base._class_names import class_names
from imageproof.base._dataset import FITTED_ON, SPLITS, Dataset, Rows, Split, load_split, save_split
from imageproof.base._naming import project_name
from imageproof.base.errors import DataError
from imageproof.base.files import REBUILD_HINT, md5, read_json
from imageproof.data import packed
from imageproof.dvc.provenance import ARTIFACTS, recorded_outputs
from imageproof.outputs import SPLIT_TAGS, BaselineOutputs, EvaluateOutputs, RunRecord, TrainOutputs

if TYPE_CHECKING:
    import pandas as pd


class Artifacts:
    """All paths under artifacts/ in the folder `root`."""

    def __init__(self, root: Path = Path()) -> None:
        self.folder = root / ARTIFACTS
        self.pack = self.folder / "pack"
        self.packed_rows = self.pack / packed.ROWS
        self.validation = self.folder / "validate/result.json"
        self.data_docs = self.folder / "validate/data_docs"  # of Great Expectations
        self.explore = self.folder / "explore"
        self.split_summary = self.folder / "split/split.json"
        self.split_hashes = self.folder / "split/hashes.parquet"  # see `read_split_hashes`
        self.baseline = BaselineOutputs(self.folder / "baseline")
        self.compare = self.folder / "compare"
        self.comparison = self.compare / "comparison.json"
        self.learning_curves = self.compare / "learning_curves.csv"
        self.report = self.folder / "report/index.html"
        # a page per training, which redirects to its run in MLflow
        self.runs = self.folder / "runs"
        self.monitor = self.folder / "monitor/monitor.html"

    def split(self, name: str) -> Path:
        return self.folder / f"split/{name}.npz"

    def trained(self, model: str) -> TrainOutputs:
        return TrainOutputs(self.folder / f"train/{model}")

    def evaluated(self, model: str) -> EvaluateOutputs:
        return EvaluateOutputs(self.folder / f"evaluate/{model}")

    def read_split(self, name: str, *, classes: int | None = None) -> Split:
        """One split; a DataError if it is missing or damaged, or a label is not below `classes`."""
        path = self.split(name)
        split = load_split(path)
        if classes and (highest := split.data.labels.max()) >= classes:
            raise DataError(
                f"{path}: has label {highest}, params.yaml {classes} classes; {REBUILD_HINT}"
            )
        return split

    def split_md5s(self, names: Sequence[str] = FITTED_ON) -> dict[str, str]:
        """The md5 of the files of these splits."""
        return {name: md5(self.split(name)) for name in names}

    def read_fitted(self, classes: int | None = None) -> list[Dataset]:
        """The rows that a training is fitted on, and those of validation; see `read_split`."""
        return [self.read_split(name, classes=classes).data for name in FITTED_ON]

    def write_splits(
        self,
        parts: Mapping[str, Rows],
        data: Dataset,
        hashes: "pd.Series[str]",
    ) -> None:
        """Write the rows of `data` that belong to each part, and their `packed.load_hashes`."""
        for name, picks in parts.items():
            save_split(self.split(name), Split(data, picks), picks=picks)
        packed.save_split_hashes(self.split_hashes, parts, hashes)

    def read_split_summary(self) -> dict[str, Any]:
        """`rows` per split, `copies` of training rows per split, `sources`: parts of the data."""
        return read_json(self.split_summary, dict[str, Any])

    def read_split_hashes(self, name: str) -> list[str]:
        """The fingerprint of each row of a split as it was read; see `packed.load_hashes`."""
        return packed.load_split_hashes(self.split_hashes, name)

    def class_names(self, classes: int, names: Sequence[str] | None) -> list[str]:
        """One name per class: of params.yaml, else of folders or labels.csv, else the numbers."""
        if not names and (self.pack / packed.SUMMARY).exists():
            names = packed.load_summary(self.pack)["class_names"]
        return class_names(classes, names)

    def names_of(self, rows: Rows) -> tuple[str, list[str]]:
        """What packed images are called, as `rows of test in data/x, counted from 0`; their names.

        Rows of two parts are named with their part, as each counts its own.
        """
        import pandas as pd

        columns = ["part", "file", "name"]
        table = pd.read_parquet(self.packed_rows, columns=columns).iloc[rows]
        names = table["name"]
        if names.equals(table["file"].rename("name")):
            return "named by their files in data", names.tolist()
        places = (table["part"] + " in " + table["file"]).unique()
        if len(places) > 1:
            names = table["part"] + " " + names
        return f"rows of {' and '.join(places)}, counted from 0", names.tolist()

    def metadata(self, rows: Rows) -> "pd.DataFrame":
        """See `packed.load_metadata`."""
        return packed.load_metadata(self.pack, rows)


WORKSPACE = Artifacts()  # in the current folder, whichever it is when a file is read


def run_page(run: RunRecord) -> str:
    """Address of a run in the report; it also finds the run that the command `restore` logs."""
    if not run.tracking_uri.startswith("http"):
        return f"../{WORKSPACE.runs.name}/{run.run_id}.html"  # which `make ui` writes
    condition = quote(f"tags.`{project_name()}.training` = '{run.run_id}'")
    runs = f"experiments/{run.experiment_id}/runs?searchFilter={condition}"
    return f"{run.tracking_uri.rstrip('/')}/#/{runs}&workflowType=machine_learning"


def split_tags(read: Mapping[str, str]) -> dict[str, str]:
    """Tags of a run: the md5 of each split by `read` (split to md5), else by dvc.lock."""
    recorded = recorded_outputs()
    digests = {name: recorded.get(WORKSPACE.split(name)) for name in SPLITS} | dict(read)
    return {SPLIT_TAGS[name]: digest for name, digest in digests.items() if digest}
