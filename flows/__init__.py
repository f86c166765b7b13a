"""One file per flow: train, stage (one stage of it on a worker), sweep, promote, score, monitor,
retrain; answer.py answers a paused `promote`. They share `digits.toolkit.prefect`."""
