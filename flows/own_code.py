"""Run the project and the library of the folder of these flows, here and in child processes.

A worker's environment has the code of the clone in which it was made.
"""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PATHS = [str(ROOT / "src"), str(ROOT / "library")]

sys.path[:0] = PATHS
# an empty entry would be the current folder
others = filter(None, [os.environ.get("PYTHONPATH")])
os.environ["PYTHONPATH"] = os.pathsep.join([*PATHS, *others])
