"""`pack`: bring all raw images to one form, in one file that later stages map into memory."""

from pathlib import Path
from time import perf_counter

from digits.params import load as load_params
from imageproof.artifacts import WORKSPACE
from imageproof.base import text
from imageproof.data import packing
from imageproof.data.readers import corrections
from imageproof.dvc import stage_command


def main() -> None:
    params = load_params()
    start = perf_counter()
    shape, corrected, warnings = packing.pack(
        Path("data"),
        WORKSPACE.pack,
        params.data.image,
        params.data.classes,
        params.data.class_names,
        read=None,  # or a function of yours, which takes the folder and returns RawData
    )
    count, *sides = shape
    rate = count / (perf_counter() - start)
    for line in warnings:
        print(f"warning: {text.printable(line)}")
    if corrected:
        print(f"{corrected:,} labels corrected by {Path('data', corrections.FILE)}")
    print(f"{count:,} images of {'×'.join(map(str, sides))}, {rate:,.0f} per second")


if __name__ == "__main__":
    stage_command.run_stage(main)
