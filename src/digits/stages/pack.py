"""`pack`: bring all raw images to one form, in one file that later stages map into memory."""

from pathlib import Path

from digits.params import load as load_params
from imageproof.artifacts import WORKSPACE
from imageproof.base import text
from imageproof.data import packing
from imageproof.data.readers import corrections
from imageproof.dvc import stage_command


def main() -> None:
    params = load_params()
    shape, corrected, warnings = packing.pack(
        Path("data"),
        WORKSPACE.pack,
        params.data.image,
        params.data.classes,
        params.data.class_names,
        read=None,  # or a function of yours: it takes the folder and returns packing.RawData
    )
    count, *sides = shape
    for line in warnings:
        print(f"warning: {text.printable(line)}")
    if corrected:
        print(f"{corrected:,} labels corrected by {Path('data', corrections.FILE)}")
    print(f"{count:,} images of {'×'.join(map(str, sides))}")


if __name__ == "__main__":
    stage_command.run_stage(main)
