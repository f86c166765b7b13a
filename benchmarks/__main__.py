"""`python -m benchmarks [PART…]`: measure, and write docs/benchmarks.json and .md."""

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import (
    answers,
    commands,
    disk,
    drift,
    expected,
    images,
    inference,
    machine,
    pipeline,
    real_data,
    scale,
    serving,
    soak,
    step,
    suspects,
    tables,
    trainings,
)
from benchmarks.peers import measure as peers
from benchmarks.workspace import REPOSITORY, Workspace
from digits import params
from digits.toolkit import process

# Each yields its figures; a long one yields what it has so far, again and again.
PARTS: dict[str, Callable[[Workspace], Iterator[dict[str, Any]]]] = {
    "trainings": trainings.measure_trainings,
    "peers": peers.measure_mlp,
    "peers-cnn": peers.measure_cnn,
    "seconds": trainings.measure_seconds,
    "step": step.measure_step,
    "pipeline": pipeline.measure_pipeline,
    "flow": pipeline.measure_flow,
    "inference": inference.measure_inference,
    "commands": commands.measure_commands,
    "scoring": commands.measure_scoring,
    "serve": serving.measure_serve,
    "soak": soak.measure_soak,
    "disk": disk.measure_disk,
    "answers": answers.measure_answers,
    "drift": drift.measure_drift,
    "expected": expected.measure_expected,
    "images": images.measure_images,
    "growth": images.measure_growth,
    "stopping": real_data.measure_stopping,
    "uneven": real_data.measure_uneven,
    "scale": scale.measure_scale,
    "suspects": suspects.measure_suspects,
}
RESULT = REPOSITORY / "docs/benchmarks.json"
PAGE = REPOSITORY / "docs/benchmarks.md"


def main(names: list[str]) -> None:
    """Measure the parts, each in its own clone; keep the latest figures of the other parts."""
    process.set_environment()
    threads = params.load(REPOSITORY / "params.yaml").train.threads
    with process.quiet_tensorflow(threads):
        import keras  # noqa: F401
    result = json.loads(RESULT.read_text("utf-8")) if RESULT.exists() else {}
    for part in names:
        with TemporaryDirectory() as folder:
            for figures in PARTS[part](Workspace(Path(folder))):
                result[part] = {"machine": machine.describe(threads), "figures": figures}
                RESULT.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
                PAGE.write_text(tables.page(result), "utf-8")
    print(tables.page(result))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=main.__doc__)
    parser.add_argument("parts", nargs="*", choices=PARTS, metavar="PART", help=", ".join(PARTS))
    main(parser.parse_args().parts or list(PARTS))
