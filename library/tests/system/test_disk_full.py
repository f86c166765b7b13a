"""A full disk is one line that names the path, whoever writes there."""

import subprocess
from pathlib import Path

import pytest
from helpers import python

PROGRAM = """
import tempfile
from pathlib import Path
import numpy as np
from imageproof.base import files
from imageproof.system import _process

def work():
    disk = Path({disk!r})
    {work}

_process.run_program(work)
"""
FULL = "No space left on device (IMAGEPROOF_DEBUG=1 shows more)\n"


@pytest.mark.parametrize(
    ("work", "path"),
    [
        (
            "with files.replacing(disk / 'out.npz') as new:\n"
            "        np.savez(new, images=np.zeros(100_000))",
            "out.npz",
        ),
        (
            "tempfile.tempdir = str(disk)\n"
            "    with files.scratch() as folder:\n"
            "        (folder / 'model').write_bytes(bytes(100_000))",
            "",
        ),
    ],
)
def test_full_disk_names_the_path(disk, work, path):
    done = python("-c", PROGRAM.format(disk=str(disk), work=work))
    assert (done.returncode, done.stderr) == (4, f"error: {disk / path}: {FULL}")


def test_full_output_is_named():
    code = PROGRAM.format(disk="", work="print('0' * 100_000)")
    with Path("/dev/full").open("w") as full:
        done = python("-c", code, capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (
        4,
        f"error: standard output or a temporary file: {FULL}",
    )
