"""The stages before a training, each on data of its own."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import write_params

from digits.stages import pack, split
from imageproof.artifacts import WORKSPACE
from imageproof.base._dataset import SPLITS
from imageproof.data import packed

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (330, 8, 8), np.uint8)
PICTURES = {"data.classes": 2, "data.image.fit": "stretch"}

pytestmark = pytest.mark.usefixtures("workspace")


def save_picture(number, name):
    path = Path("data", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(PIXELS[number]).save(path)


def hashes_of_parts():
    """The hashes of the images in each part, which are written in the order of its rows."""
    hashes = packed.load_hashes(WORKSPACE.pack)
    parts = {name: hashes[WORKSPACE.read_split(name).rows].tolist() for name in SPLITS}
    assert {name: WORKSPACE.read_split_hashes(name) for name in SPLITS} == parts
    return [*map(set, parts.values())]


@pytest.mark.parametrize("method", ["stratified", "hashed"])
def test_splits_obey_the_columns_of_the_table(method):
    writers = RANDOM.integers(60, size=330)
    lines = ["file,label,writer,only_train"]
    for number, writer in enumerate(writers):
        save_picture(number, f"{number}.png")
        lines.append(f"{number}.png,{'ab'[number % 2]},w{writer},{'yes' if writer == 7 else ''}")
    Path("data/labels.csv").write_text("\n".join(lines), "utf-8")
    write_params(PICTURES | {"split.group": "writer", "split.method": method})
    pack.main()
    split.main()
    hashes_of_parts()
    for part in SPLITS:
        data, rows = WORKSPACE.read_split(part)
        pairs = {*zip(data.groups.tolist(), writers[rows], strict=True)}
        assert len(pairs) == len({*writers[rows]}) == len({*data.groups.tolist()})
        assert (7 in writers[rows]) == (part == "train")


def test_stage_keeps_parts_when_pictures_and_size_change():
    def parts_of(numbers, size):
        for number in numbers:
            save_picture(number, f"{number % 2}/{number}.png")
        write_params(PICTURES | {"data.image.size": size, "split.method": "hashed"})
        pack.main()
        split.main()
        return hashes_of_parts()

    first = parts_of(range(300), [6, 6])
    for path in Path("data").glob("*/1?.png"):
        path.unlink()
    grown = parts_of(range(300, 330), [4, 5])
    assert sum(map(len, grown)) == 320
    assert sum(len(new & old) for new, old in zip(grown, first, strict=True)) == 290
