"""`pack`: bring all raw images to one form, in one file that later stages map into memory."""

from pathlib import Path
from time import perf_counter

from digits.artifacts import PACK
from digits.data import packed, packing
from digits.params import load as load_params
from digits.toolkit import process
from digits.toolkit.errors import printable


def main() -> None:
    params = load_params()
    start = perf_counter()
    asked = params.data.image, params.data.classes, params.data.class_names
    for line in packing.pack(Path("data"), PACK, *asked):
        print(f"warning: {printable(line)}")
    images, seconds = packed.load(PACK).images, perf_counter() - start
    form = "×".join(map(str, images.shape[1:]))
    print(f"{len(images):,} images of {form}, {len(images) / seconds:,.0f} per second")


if __name__ == "__main__":
    process.run_stage(main)
