"""The counters that the server shows to Prometheus."""

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector

from imageproof.base._naming import project_name
from imageproof.serve._model import Answers

# buckets of histograms
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
IMAGES = (1, 2, 5, 10, 20, 50, 100)


class Metrics:
    def __init__(self, model: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        names: dict[str, Any] = {"namespace": project_name(), "registry": self.registry}
        Info("model", "The model that answers", **names).info({"model": model})
        self.requests = Counter(
            "requests", "Requests by path and status", ["path", "status"], **names
        )
        self.predicted = Counter("predictions", "Answers by class", ["class"], **names)
        self.unsure = Counter(
            "unsure", "Answers that nobody can use: the set is empty or too large", **names
        )
        self.waiting = Gauge("waiting_images", "Images that wait for an answer", **names)
        self.lost = Gauge("log_lost_rows", "Rows that are lost to the log, or wait for it", **names)
        self.batches = Histogram(
            "batch_images", "Images that are asked at once", buckets=IMAGES, **names
        )
        self.shadow = Counter(
            "shadow", "Images, by whether the challenger is asked", ["outcome"], **names
        )
        for outcome in ("asked", "left_out"):
            self.shadow.labels(outcome)
        self.seconds = Histogram(
            "predict_seconds", "Seconds until an answer", buckets=SECONDS, **names
        )

    def count(self, answers: Answers, seconds: float) -> None:
        """Count the answers to one request."""
        for name in answers.predicted:
            self.predicted.labels(name).inc()
        self.unsure.inc(float(answers.unsure.sum()))
        self.seconds.observe(seconds)
