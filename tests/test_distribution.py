"""What `uv build` makes: an archive of the sources, and from it a wheel with all code."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import REPOSITORY, python


@pytest.mark.slow
def test_built_wheel_runs(tmp_path: Path) -> None:
    uv, offline = [sys.executable, "-m", "uv"], ("--offline", "--quiet")
    build = ("build", "--no-build-isolation", "--out-dir", tmp_path / "dist", REPOSITORY)
    subprocess.run([*uv, *build, *offline], check=True)
    [wheel] = (tmp_path / "dist").glob("*.whl")
    installed = tmp_path / "installed"
    install = ("pip", "install", "--no-deps", "--target", installed, wheel)
    subprocess.run([*uv, *install, *offline], check=True)
    own = [path for path in (REPOSITORY / "src").rglob("*.*") if "__pycache__" not in path.parts]
    paths = {path.relative_to(REPOSITORY / "src") for path in own}
    assert [path for path in paths if not (installed / path).exists()] == []
    table = tmp_path / "matrix.csv"
    table.write_text("prediction,0,1\n0,8,1\n1,2,9\n", "utf-8")
    environment = os.environ | {"PYTHONPATH": str(installed)}
    done = python(installed / "bin/digits", "stats", table, cwd=tmp_path, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "0.85" in done.stdout
    where = python("-c", "import digits; print(digits.__file__)", cwd=tmp_path, env=environment)
    assert where.stdout == f"{installed}/digits/__init__.py\n"
