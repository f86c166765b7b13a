"""One file per flow, and what they share in support/: train, stage (one stage of it on a worker),
sweep, promote, score, monitor, retrain; answer.py answers a paused `promote`."""
