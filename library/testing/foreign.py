"""Packages of PyPI that this project does not install, in an environment of their own."""

import subprocess
import sys

import pytest


def environment(folder, *packages):
    """A Python that has these packages, in a new folder; the test is skipped without PyPI."""
    uv = [sys.executable, "-m", "uv", "--quiet"]
    subprocess.run([*uv, "venv", "--python", sys.executable, folder], check=True)
    python = folder / "bin" / "python"
    command = [*uv, "pip", "install", "--python", python, *packages]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode:
        pytest.skip(f"{', '.join(packages)}: PyPI is not reachable: {done.stderr.strip()[-200:]}")
    return python
