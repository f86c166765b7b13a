"""Processes that tests start collect no garbage of imports: it is a third of a command's time."""

import atexit
import gc

gc.set_threshold(1_000_000)
atexit.register(gc.freeze)
