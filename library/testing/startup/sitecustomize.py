"""Processes that tests start collect no garbage of imports: it takes a sixth of their time."""

import gc

gc.set_threshold(1_000_000)
