"""The stages before a training, on data of their own."""

from pathlib import Path

import numpy as np
from PIL import Image
from support import write_params

from digits.stages import pack, split
from imageproof.artifacts import WORKSPACE
from imageproof.base._dataset import SPLITS
from imageproof.data import packed

PARAMS = {"data.classes": 2, "data.image.fit": "stretch", "split.method": "hashed"}
RANDOM = np.random.default_rng(0)


def hashes_of_parts():
    """The hashes of the images in each part, which are written in the order of its rows."""
    hashes = packed.load_hashes(WORKSPACE.pack)
    parts = {name: hashes[WORKSPACE.read_split(name).rows].tolist() for name in SPLITS}
    assert {name: WORKSPACE.read_split_hashes(name) for name in SPLITS} == parts
    return parts


def test_splits_obey_columns_whatever_the_size(workspace):
    Path("data").mkdir()
    writers = RANDOM.integers(60, size=330)
    lines = ["file,label,writer,only_train"]
    for number, writer in enumerate(writers):
        pixels = RANDOM.integers(256, size=(8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(f"data/{number}.png")
        lines.append(f"{number}.png,{'ab'[number % 2]},w{writer},{'yes' if writer == 7 else ''}")
    Path("data/labels.csv").write_text("\n".join(lines))
    parts = []
    for size, group in (([6, 6], None), ([4, 5], None), ([4, 5], "writer")):
        write_params(PARAMS | {"data.image.size": size, "split.group": group})
        pack.main()
        split.main()
        parts.append(hashes_of_parts())
    assert parts[0] == parts[1]
    for part in SPLITS:
        data, rows = WORKSPACE.read_split(part)
        pairs = {*zip(data.groups.tolist(), writers[rows], strict=True)}
        assert len(pairs) == len({*writers[rows]}) == len({*data.groups.tolist()})
        assert (7 in writers[rows]) == (part == "train")
