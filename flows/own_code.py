"""Run the project and the library of the folder of these flows, here and in child processes.

A worker's environment has the code of the clone in which it was made.
"""

import os
import sys
from pathlib import Path

root = Path(__file__).resolve().parent.parent
sources = [str(root / "src"), str(root / "library")]
sys.path[:0] = sources
# an empty entry would be the current folder
inherited = filter(None, [os.environ.get("PYTHONPATH")])
os.environ["PYTHONPATH"] = os.pathsep.join([*sources, *inherited])
