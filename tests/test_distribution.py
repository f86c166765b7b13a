"""What `uv build` makes of project and library: sources, and from them a wheel with all code."""

import os
import subprocess
import sys

import pytest
from helpers import python
from support import REPOSITORY


@pytest.mark.slow
def test_built_wheel_runs(tmp_path):
    uv = (sys.executable, "-m", "uv")
    offline = ("--offline", "--quiet")
    for folder in (REPOSITORY, REPOSITORY / "library"):
        build = ("build", "--no-build-isolation", "--out-dir", tmp_path / "dist", folder)
        subprocess.run([*uv, *build, *offline], check=True)
    wheels = [*(tmp_path / "dist").glob("*.whl")]
    assert len(wheels) == 2
    installed = tmp_path / "installed"
    install = ("pip", "install", "--no-deps", "--target", installed, *wheels)
    subprocess.run([*uv, *install, *offline], check=True)
    for source, package in (("src", "digits"), ("library", "imageproof")):
        files = [*(REPOSITORY / source / package).rglob("*.*")]
        paths = [p.relative_to(REPOSITORY / source) for p in files if "__pycache__" not in p.parts]
        assert [path for path in paths if not (installed / path).exists()] == []
    table = tmp_path / "matrix.csv"
    table.write_text("prediction,0,1\n0,8,1\n1,2,9\n", "utf-8")
    environment = os.environ | {"PYTHONPATH": str(installed)}
    done = python(installed / "bin/digits", "stats", table, cwd=tmp_path, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "0.85" in done.stdout
