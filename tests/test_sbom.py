"""A package's SBOM, by the command of the page, with cyclonedx-bom from PyPI."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import packaged
import pytest
from support import REPOSITORY


@pytest.mark.slow
def test_sbom_names_all_that_answers(images_8x8, tmp_path):
    package = packaged.write(tmp_path / "champion", images_8x8)
    page = (REPOSITORY / "docs/how-to/promotion.md").read_text("utf-8")
    [arguments] = re.findall(r"^uvx (.*cyclonedx-py .*)$", page, re.M)
    uv = Path(sys.executable).with_name("uv")
    command = [uv, "tool", "run", *shlex.split(arguments)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    if "Failed to fetch" in done.stderr:
        pytest.skip(f"PyPI cannot be reached: {done.stderr[-200:]}")
    assert done.returncode == 0, done.stderr
    sbom = json.loads((tmp_path / "sbom.json").read_text("utf-8"))
    requirements = (package.folder / "requirements.txt").read_text("utf-8")
    pinned = dict(re.findall(r"^([\w.-]+)==([^\s;\\]+)", requirements, re.M))
    components = {part["name"]: part.get("version") for part in sbom["components"]}
    assert sbom["bomFormat"] == "CycloneDX"
    assert pinned.items() <= components.items()
    assert "onnxruntime" in pinned
    hashed = [p for p in sbom["components"] if p["name"] == "onnxruntime"]
    assert "sha256" in json.dumps(hashed).lower().replace("-", "")
