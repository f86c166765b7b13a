"""`python -m benchmarks [PART…]`: measure, and write docs/benchmarks.json and .md."""

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import machine
from benchmarks.parts import PARTS, page
from benchmarks.workspace import REPOSITORY, Workspace
from digits import params
from imageproof.system import _process

RESULT = REPOSITORY / "docs/benchmarks.json"
PAGE = REPOSITORY / "docs/benchmarks.md"


def main(names: list[str]) -> None:
    """Measure the parts, each in its own clone; keep the latest figures of the other parts."""
    _process.set_environment()
    threads = params.load(REPOSITORY / "params.yaml").train.threads
    with _process.quiet_tensorflow(threads):
        import keras  # noqa: F401
    result = json.loads(RESULT.read_text("utf-8")) if RESULT.exists() else {}
    for part in names:
        measure, _ = PARTS[part]
        with TemporaryDirectory() as folder:
            for figures in measure(Workspace(Path(folder))):
                result[part] = {"machine": machine.describe(threads), "figures": figures}
                RESULT.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
                PAGE.write_text(page(result), "utf-8")
    print(page(result))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=main.__doc__)
    parser.add_argument("parts", nargs="*", choices=PARTS, metavar="PART", help=", ".join(PARTS))
    main(parser.parse_args().parts or list(PARTS))
