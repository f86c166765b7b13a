"""What `uv build` makes of the project: sources, and from them a wheel with all code.

The library's wheel is tested by `make test-library`.
"""

import os
import subprocess
import sys

import pytest
from helpers import python
from support import REPOSITORY


@pytest.mark.slow
def test_built_wheel_runs(tmp_path):
    def uv(*command):
        options = ("--offline", "--quiet")
        subprocess.run([sys.executable, "-m", "uv", *command, *options], check=True)

    uv("build", "--no-build-isolation", "--out-dir", tmp_path, REPOSITORY)
    [wheel] = tmp_path.glob("*.whl")
    installed = tmp_path / "installed"
    uv("pip", "install", "--no-deps", "--target", installed, wheel)
    files = [path for path in (REPOSITORY / "src/digits").rglob("*.*") if path.suffix != ".pyc"]
    paths = [path.relative_to(REPOSITORY / "src") for path in files]
    assert [path for path in paths if not (installed / path).exists()] == []
    table = tmp_path / "matrix.csv"
    table.write_text("prediction,0,1\n0,8,1\n1,2,9\n", "utf-8")
    environment = os.environ | {"PYTHONPATH": str(installed)}
    done = python(installed / "bin/digits", "stats", table, cwd=tmp_path, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "0.85" in done.stdout
