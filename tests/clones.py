"""Clones of this repository, and commands run in them as a user types them."""

import os
import subprocess
import sys
from pathlib import Path

from helpers import AUTHOR
from shared import STARTUP

from imageproof.system._process import own_code

# what the tests' own surroundings must not decide; compiled modules are written, as for a user
UNWANTED = (
    *("DIGITS_", "DVC_", "IMAGEPROOF_", "MLFLOW_", "PREFECT_"),
    *("MAKE", "PYTEST_", "PYTHONDONTWRITEBYTECODE", "TESTS", "VIRTUAL_ENV"),
)


class Clone:
    """A folder with a project, whose code its commands run."""

    def __init__(self, root, **variables):
        self.root = root
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(UNWANTED)}
        self.environment |= AUTHOR
        self.environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment["PYTHONPATH"] = own_code(root, str(root), STARTUP)
        self.environment |= variables

    def run(self, *command, succeeds=True, cwd=None, **variables):
        """Run a command to its end."""
        words = [*map(str, command)]
        done = subprocess.run(
            words,
            cwd=cwd or self.root,
            env=self.environment | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode == 0) == succeeds, f"{words}\n{done.stdout}{done.stderr}"
        return done
