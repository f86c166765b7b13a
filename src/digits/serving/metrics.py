"""What Prometheus reads from /metrics."""

from collections.abc import Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
IMAGES = (1, 2, 5, 10, 20, 50, 100)


class Metrics:
    """Counters of one server, in a registry of its own."""

    def __init__(self, model: str) -> None:
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        Info("digits_model", "The model that answers", registry=registry).info({"model": model})
        self.requests = Counter(
            "digits_requests", "Answered requests", ["path", "status"], registry=registry
        )
        self.batches = Histogram(
            "digits_batch_images", "Images predicted at once", buckets=IMAGES, registry=registry
        )
        self.waiting = Gauge("digits_waiting_images", "Not yet answered", registry=registry)
        self._seconds = Histogram(
            "digits_predict_seconds",
            "From a request's head to its answer",
            buckets=SECONDS,
            registry=registry,
        )
        self._predicted = Counter("digits_predictions", "By class", ["class"], registry=registry)
        self._unsure = Counter("digits_unsure", "Answer sets, empty or too big", registry=registry)

    def count(self, answers: Sequence[Mapping[str, Any]], seconds: float) -> None:
        """Count the answers to one request; see `Model.answers`."""
        self._seconds.observe(seconds)
        for each in answers:
            self._predicted.labels(each["predicted"]).inc()
            if each.get("unsure"):
                self._unsure.inc()

    def page(self) -> tuple[bytes, str]:
        """All of it in Prometheus's text format, and its Content-Type."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST
