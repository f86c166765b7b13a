"""`dvc`, as the leader of a process group that ends with the process that started it."""

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

from digits.core import process


def _end_group(signum: int, _frame: FrameType | None) -> NoReturn:
    # What a stage runs need not be ours: the kernel tells this process alone of its parent's death.
    signal.signal(signum, signal.SIG_IGN)
    os.killpg(os.getpgrp(), signum)
    sys.exit(128 + signum)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end_group)
    process.die_with_parent()
    process.spare_the_collector()

    from dvc.cli import main

    sys.exit(main())
