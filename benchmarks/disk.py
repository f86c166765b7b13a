"""What serving needs on disk: a fresh environment for each server, which needs PyPI."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.markdown import table
from benchmarks.servers import NAMES, log_keras, package
from benchmarks.workspace import Workspace

MODEL = "compact"


def measure_disk(workspace: Workspace) -> Iterator[dict[str, Any]]:
    """Packages and megabytes of an environment with each way's own requirements.txt."""
    import mlflow

    workspace.pull()
    keras_uri = log_keras(workspace, MODEL)
    requirements = {
        "keras": Path(mlflow.pyfunc.get_model_dependencies(keras_uri)),
        "onnx": Path(mlflow.pyfunc.get_model_dependencies(workspace.register(MODEL))),
        "package": package(workspace, MODEL) / "requirements.txt",
    }
    yield {name: _installed(path, workspace.root / name) for name, path in requirements.items()}


def _installed(requirements: Path, folder: Path) -> dict[str, float]:
    """Packages and 10⁶ bytes of a fresh environment with these requirements."""
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    install: list[str | Path] = [
        uv,
        "pip",
        "install",
        "--quiet",
        "--python",
        folder.resolve() / "bin/python",
    ]
    # a package's requirements are complete, have hashes, and name a wheel that lies beside them
    hashed = (
        ["--no-deps", "--require-hashes"] if "--hash" in requirements.read_text("utf-8") else []
    )
    subprocess.run(
        [*install, *hashed, "-r", requirements.name], cwd=requirements.parent, check=True
    )
    [packages] = folder.glob("lib/python*/site-packages")
    files = [path for path in packages.rglob("*") if path.is_file()]
    return {
        "packages": len([*packages.glob("*.dist-info")]),
        "mb": sum(path.stat().st_size for path in files) / 1e6,
    }


def disk_section(part: dict[str, Any]) -> str:
    body = [[NAMES[name], str(row["packages"]), f"{row['mb']:,.0f}"] for name, row in part.items()]
    return f"""## What serving needs on disk

A fresh environment with the requirements of each, without compiled bytecode.

{table(["server", "packages", "MB"], body)}"""
