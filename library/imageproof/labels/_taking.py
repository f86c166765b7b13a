"""The command `labels`: what people said in Label Studio becomes pictures and labels in data/."""

import os
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from shutil import copyfile

import pandas as pd

from imageproof.artifacts import WORKSPACE
from imageproof.base.errors import DataError
from imageproof.base.files import replacing, scratch
from imageproof.base.text import first_names
from imageproof.data import packed
from imageproof.data._class_names import in_order
from imageproof.data.packed import META
from imageproof.data.readers import corrections
from imageproof.data.readers._folders import COLUMNS, TABLE, Listing, list_pictures
from imageproof.data.splitting import YES
from imageproof.labels._studio import Label, read_export
from imageproof.pictures._reading import read_and_hash
from imageproof.project import Project

DATA = Path("data")
FOLDER = "labelled"  # in data/, of the pictures that were taken in

Row = dict[str, str]  # of labels.csv, by column


def take_labels(path: Path, pool: Path, project: Project) -> list[str]:
    """Bring the labels of an export into data/; a sentence for each step.

    Pictures come from the folder `pool`, by the path that a task names, if their fingerprint is the
    task's; their labels become rows of labels.csv. Another label of a picture in data/ becomes a
    row of corrections.csv. A DataError has a finding for each picture that is missing or has
    changed; nothing is written then.
    """
    names = project.class_names
    rows = packed.load(WORKSPACE.pack).rows.assign(hash=packed.load_hashes(WORKSPACE.pack))
    labels = read_export(path, names)  # whose names are those of the packed data
    classes = corrections.classes(DATA / corrections.FILE, rows, names)
    agreed = [label for label in labels if len(label.classes) == 1]
    new, corrected = _compare(agreed, rows, classes)
    additions = _additions(new, pool)
    table = _table(rows) if new else rows
    if corrected:
        lines = [*dict.fromkeys(chain(*corrected))]  # two tasks may be of one picture
        corrections.merge(lines, DATA / corrections.FILE, rows, names)
    if new:
        with scratch(Path()) as folder:
            _add(additions, table, names, folder)
    only_train = sum(label.picture.only_train == YES for label in new)
    return [
        f"pictures → {DATA / FOLDER}: {len(new):,}, {only_train:,} of them for training only",
        f"labels corrected → {DATA / corrections.FILE}: {len(corrected):,}",
        f"labels as in the data: {len(agreed) - len(new) - len(corrected):,}",
        f"pictures without a label yet: {sum(not label.classes for label in labels):,}",
        *(
            f"left out, as it has several classes: {label.picture.file} "
            f"({', '.join(label.classes)}; by {label.annotator})"
            for label in labels
            if len(label.classes) > 1
        ),
    ]


def _compare(
    labels: Sequence[Label],
    rows: pd.DataFrame,
    classes: Mapping[corrections.Key, str],
) -> tuple[list[Label], list[list[corrections.Line]]]:
    """Labels of pictures that are not packed; for each other label, what it corrects.

    A picture of the pool may be packed several times, with different labels.
    """
    copies = rows.set_index(["part", "name"]).groupby(corrections.HASH).groups
    new = []
    corrected = []
    for label in labels:
        picture = label.picture
        [name] = label.classes
        key = (picture.part, picture.file)
        keys = [*copies.get(picture.hash, [])]
        if key in keys:
            keys = [key]
        wrong = [(key, classes[key]) for key in keys if classes[key] != name]
        if not keys:
            new.append(label)
        elif wrong:
            line = partial(corrections.Line, corrected=name, digest=picture.hash)
            corrected.append([line(" ".join(key), key, old) for key, old in wrong])
    return new, corrected


def _additions(labels: Sequence[Label], pool: Path) -> dict[Path, Row]:
    """A row of labels.csv for each picture, by its path in the pool."""
    additions = {}
    findings = []
    for picture, [label], annotator, labelled_at in labels:
        source = pool / picture.file
        if picture.part:
            findings.append(f"{picture.part} {picture.file}: no such image in the packed data")
            continue
        try:
            _, digest = read_and_hash(source, shape=(8, 8), fit="stretch")
        except (DataError, OSError) as error:  # a name may be too long
            findings.append(f"{source}: {error}; --pool names the folder of the pictures")
            continue
        if digest.hex() != picture.hash:
            findings.append(f"{source}: is not the picture of the task; put that one back")
        additions[source] = {
            "file": f"{FOLDER}/{picture.hash[:16]}-{source.name[-50:]}",  # 255 bytes are allowed
            "label": label,
            "only_train": picture.only_train,
            "annotator": annotator,
            "labelled_at": labelled_at,
        }
    if findings:
        raise DataError(*findings)
    return additions


def list_extensible() -> Listing:
    """The pictures in data/; a DataError if none can be added to them."""
    listing = list_pictures(DATA)
    if not listing or "test" in {*listing.rows["part"]}:
        allowed = f"folders of classes, or {TABLE}, without a test part are allowed"
        raise DataError(f"{DATA}: no picture can be added to it; {allowed}")
    return listing


def _table(rows: pd.DataFrame) -> pd.DataFrame:
    """labels.csv as it is, or as it says what the folders say; `rows` are those that are packed."""
    listing = list_extensible()
    if {*listing.rows["file"]} != {*rows["name"]}:
        raise DataError(f"{DATA}: has changed since it was packed; type `dvc repro pack` before")
    names = zip(listing.rows["file"], listing.rows["path"], strict=True)
    escaped = [file for file, path in names if os.fsencode(DATA / file) != path]
    if escaped:
        fault = f"{TABLE} cannot hold such a name; rename the file"
        raise DataError(f"{DATA}: {first_names(escaped)}: {fault}")
    columns = [*COLUMNS, *(name for name in map(str, listing.rows) if name.startswith(META))]
    return listing.rows[columns].rename(columns=lambda name: name.removeprefix(META))


def _add(
    additions: Mapping[Path, Row],
    table: pd.DataFrame,
    names: Sequence[str],
    folder: Path,
) -> None:
    """Copy the pictures into data/, and write labels.csv; what is interrupted goes on if repeated.

    `folder` is a temporary one, on the disk of data/.
    """
    classes = in_order([*table["label"].unique()])
    added = pd.DataFrame([*additions.values()])
    if {*classes} != {*names}:  # params.yaml has other names
        added["label"] = added["label"].map(dict(zip(names, classes, strict=True)))
    pd.concat([table, added]).to_csv(folder / TABLE, index=False)
    (folder / FOLDER).mkdir()
    for source, row in additions.items():
        copyfile(source, folder / row["file"])
    (DATA / FOLDER).mkdir(exist_ok=True)
    # without a table the folder were a class, if this ended before the last line
    with replacing(DATA / TABLE) as temporary:
        table.to_csv(temporary, index=False)
    for file in added["file"]:
        (folder / file).replace(DATA / file)
    (folder / TABLE).replace(DATA / TABLE)
