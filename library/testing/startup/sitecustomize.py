"""Processes that tests start collect no garbage of imports: it is 6 % of a training's time."""

import gc

gc.set_threshold(1_000_000)
