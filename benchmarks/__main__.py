"""`python -m benchmarks [PART…]`: measure, and write docs/benchmarks.json and .md."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import flow, inference, machine, pipeline, scaling, scoring, tables, trainings
from benchmarks.workspace import REPOSITORY, Workspace
from digits import params
from digits.core import process

PARTS = ("trainings", "seconds", "pipeline", "flow", "inference", "scoring", "scaling")
RESULT = REPOSITORY / "docs/benchmarks.json"
PAGE = REPOSITORY / "docs/benchmarks.md"
TRAIN_IMAGES = 48_000
REPEATS = 3
MODELS = ("mlp", "compact")


def main(parts: list[str]) -> None:
    """Measure the parts, each in a clone of its own, and keep the latest of all the others."""
    process.set_environment()
    threads = params.load(REPOSITORY / "params.yaml").train.threads
    with process.quiet_tensorflow(threads):
        import keras  # noqa: F401
    result = json.loads(RESULT.read_text("utf-8")) if RESULT.exists() else {}
    here = machine.describe(threads)
    for part in parts:
        with TemporaryDirectory() as folder:
            for figures in measure(part, Workspace(Path(folder))):
                result[part] = {"machine": here, "figures": figures}
                RESULT.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
                PAGE.write_text(tables.page(result), "utf-8")
    print(tables.page(result))


def measure(part: str, workspace: Workspace) -> Iterator[dict[str, Any]]:
    """One part, see the module of its name; a long one gives its result so far, again and again."""
    models = params.load(workspace.root / "params.yaml").models
    if part == "pipeline":
        yield pipeline.measure(workspace, models=models)
    elif part == "flow":
        yield flow.measure(workspace, models=models, repeats=REPEATS)
    elif part == "scaling":
        yield scaling.measure(workspace, repeats=REPEATS)
    else:
        workspace.split()
        if part == "seconds":
            yield {model: workspace.seconds(model) for model in MODELS}
        elif part == "inference":
            workspace.train("compact", seed=0)
            yield inference.measure(workspace, "compact")
        elif part == "scoring":
            workspace.train("compact", seed=0)
            yield scoring.measure(
                workspace, "compact", rows=scoring.ROWS, requests=scoring.REQUESTS
            )
        else:
            yield from trainings.measure(workspace, seeds=trainings.SEEDS, images=TRAIN_IMAGES)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=main.__doc__)
    parser.add_argument("parts", nargs="*", choices=PARTS, metavar="PART", help=", ".join(PARTS))
    main(parser.parse_args().parts or list(PARTS))
