"""The stages before a training, each on data of its own."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from support import write_params

from digits.stages import explore, pack
from digits.stages import split as stage
from imageproof.artifacts import WORKSPACE
from imageproof.base.dataset import SPLITS, Dataset, load_split
from imageproof.base.files import write_json
from imageproof.data.packed import IMAGES, ROWS, SUMMARY


def save(images: Dataset, tests: int) -> None:
    """Write them into data/, the last ones as the data's own test part."""
    Path("data").mkdir()
    train, test = images.take(np.arange(len(images) - tests)), images.take(np.arange(-tests, 0))
    arrays = {"x_train": train.images, "y_train": train.labels}
    np.savez("data/images.npz", **arrays, x_test=test.images, y_test=test.labels)


def test_test_part_that_no_split_uses_is_told(
    workspace: Path, images_8x8: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    save(Dataset(images_8x8.images * np.uint8(15), images_8x8.labels), 897)
    sentence = (
        "warning: the data's own test part, 897 images, is not used; split.method: official uses"
    )
    for method in ("official", "stratified"):
        write_params({"split.method": method})
        pack.main()
        stage.main()
        assert (sentence in capsys.readouterr().out) == (method == "stratified")


def test_exploration_writes_table_and_pictures(workspace: Path, images_8x8: Dataset) -> None:
    save(images_8x8, 10)
    write_params({})
    pack.main()
    explore.main()
    table = pd.read_csv(WORKSPACE.explore / "classes.csv")
    assert table["count"].sum() == len(images_8x8) - 10
    pictures = sorted(path.stem for path in WORKSPACE.explore.glob("*.png"))
    means = ("class_distribution", "mean", "median", "samples", "standard_deviation")
    assert pictures == [*means]


@pytest.mark.parametrize("method", ["stratified", "hashed"])
def test_splits_number_their_groups(workspace: Path, method: str) -> None:
    random = np.random.default_rng(0)
    write_params({"data.classes": 3, "split.group": "writer", "split.method": method})
    WORKSPACE.pack.mkdir(parents=True)
    rows = pd.DataFrame({"part": "train", "label": random.integers(3, size=400)})
    rows["meta_writer"] = [f"w{number}" for number in random.integers(40, size=400)]
    rows["hash"] = rows["name"] = [f"scans/{number}.png" for number in rows.index]
    rows["source_hash"] = [number.to_bytes(16) for number in rows.index]
    np.save(WORKSPACE.pack / IMAGES, np.zeros((len(rows), 8, 8), np.uint8))
    rows.to_parquet(WORKSPACE.pack / ROWS)
    write_json(WORKSPACE.pack / SUMMARY, {"class_names": None, "sources": {}})
    stage.main()
    names = rows["meta_writer"].to_numpy()
    for part in ("train", "validation", "test", "holdout"):
        data, members = load_split(WORKSPACE.split(part))
        assert WORKSPACE.read_split_hashes(part) == [f"{row:032x}" for row in members]
        pairs = {*zip(data.groups.tolist(), names[members], strict=True)}
        assert len(pairs) == len({*names[members]}) == len({*data.groups.tolist()})


def test_stage_keeps_parts_when_pictures_and_size_change(workspace: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (330, 6, 6), np.uint8)

    def parts_of(numbers: range, size: list[int]) -> list[set[str]]:
        for number in numbers:
            path = workspace / f"data/{number % 2}/{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels[number]).save(path)
        image = {"data.image.size": size, "data.image.fit": "stretch"}
        write_params(image | {"data.classes": 2, "split.method": "hashed"})
        pack.main()
        stage.main()
        hashes = [WORKSPACE.read_split_hashes(name) for name in SPLITS]
        lengths = [len(load_split(WORKSPACE.split(name)).rows) for name in SPLITS]
        assert lengths == [*map(len, hashes)]
        return [*map(set, hashes)]

    first = parts_of(range(300), [6, 6])
    for path in workspace.glob("data/*/1?.png"):
        path.unlink()
    grown = parts_of(range(300, 330), [4, 5])
    assert sum(map(len, grown)) == 320
    assert sum(len(new & old) for new, old in zip(grown, first, strict=True)) == 290
