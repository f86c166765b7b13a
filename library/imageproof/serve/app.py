"""The paths of the server: /, /predict, /model, and the probes /health, /ready, /metrics."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from html import escape
from importlib.resources import files
from string import Template
from traceback import print_exc
from typing import TYPE_CHECKING, Any

import orjson
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from imageproof.base.dataset import Images
from imageproof.base.files import template_file
from imageproof.base.inference import not_probabilities
from imageproof.base.naming import project_name
from imageproof.serve.bodies import MAX_BODY, PICTURES, read
from imageproof.serve.model import Batcher, Model
from imageproof.system.guard import Guard

if TYPE_CHECKING:
    from imageproof.serve.journal import Journal

BODY_S = 10.0  # from the head of a request until its body is there
MAX_HELD = 32_000_000  # bytes of the bodies of all requests that are not answered yet
QUICK = 50_000  # bytes of JSON or pixels; reading more takes longer than a prediction
JSON = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z
PROBES = "/health", "/ready", "/metrics"
PATHS = {"/predict": "POST"} | dict.fromkeys(("/", "/model", *PROBES), "GET")
HOME = files("imageproof.serve") / "home.html"  # a wheel may be run as it is, packed
# buckets of histograms
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
IMAGES = (1, 2, 5, 10, 20, 50, 100)


class Metrics:
    def __init__(self, model: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        names: dict[str, Any] = {"namespace": project_name(), "registry": self.registry}
        Info("model", "The model that answers", **names).info({"model": model})
        self.requests = Counter("requests", "By path", ["path", "status"], **names)
        self.predicted = Counter("predictions", "By class", ["class"], **names)
        self.unsure = Counter("unsure", "Answer sets, empty or too big", **names)
        self.waiting = Gauge("waiting_images", "Not yet answered", **names)
        self.batches = Histogram("batch_images", "At once", buckets=IMAGES, **names)
        self.seconds = Histogram("predict_seconds", "Until answered", buckets=SECONDS, **names)


class Service:
    def __init__(
        self,
        model: Model,
        journal: "Journal | None" = None,
    ) -> None:
        self._model = model
        self._journal = journal
        self._title = model.description.title
        self._thread = ThreadPoolExecutor(1, "read")  # one at a time, for the memory it needs
        self._metrics = Metrics(self._title)
        self._batcher = Batcher(model.network.predict, on_batch=self._metrics.batches.observe)
        self._held = 0  # bytes of bodies
        self._metrics.waiting.set_function(lambda: self._batcher.waiting)

    def app(self) -> ASGIApp:
        return Guard(self._respond, probes=PROBES)

    async def _respond(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        # without Starlette's routing and middleware, which take a sixth of the time of a request
        path = scope["path"] if scope["path"] in PATHS else "other"
        try:
            response = await self._handle(path, Request(scope, receive))
        except HTTPException as error:
            response = answer({"error": error.detail}, error.status_code, error.headers)
        except Exception:
            print_exc()
            response = answer({"error": "the server failed; its log says why"}, 500)
        self._metrics.requests.labels(path, response.status_code).inc()
        await response(scope, receive, send)

    async def _handle(self, path: str, request: Request) -> Response:
        if path not in PATHS:
            raise HTTPException(404, f"no such path; there are {', '.join(PATHS)}")
        method = "GET" if request.method == "HEAD" else request.method  # uvicorn sends no body then
        if method != PATHS[path]:
            raise HTTPException(405, f"{PATHS[path]} is allowed", {"Allow": PATHS[path]})
        if path == "/predict":
            return await self._predict(request)
        if path == "/":
            return HTMLResponse(self._home(str(request.base_url)))
        if path == "/metrics":
            page = generate_latest(self._metrics.registry)
            return Response(page, media_type=CONTENT_TYPE_LATEST)
        if path == "/ready":
            return answer({"ready": True})  # the server listens after its model has answered
        if path == "/health":
            return answer({"status": "ok", "model": self._title})
        return answer(self._model.description.model_dump())

    def _home(self, server: str) -> str:
        model = self._model.description
        values = {
            "title": model.title,
            "classes": ", ".join(model.class_names),
            "size": "{}×{}".format(*model.shape),
            "pixel": "a grey value" if len(model.shape) == 2 else "red, green and blue, each",
            "coverage": f"{100 * model.confidence.coverage:g}",
            "sha256": model.model_sha256,
            "most": f"{MAX_BODY:,}",
            "server": server,
        }
        page = Template(template_file(HOME).read_text("utf-8"))
        return page.substitute({name: escape(value) for name, value in values.items()})

    async def _predict(self, request: Request) -> Response:
        started = time.perf_counter()
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        body = bytearray()
        try:
            await self._receive(request, body)
            images, treatments = await self._read(kind, bytes(body))
            probabilities = await self._batcher.predict(images)
        finally:
            self._held -= len(body)
        if finding := not_probabilities(probabilities):
            raise HTTPException(500, f"the model gives no probabilities: {finding}")
        predictions = self._model.answers(probabilities)
        columns: dict[str, Iterable[Any]] = {"picture": treatments}
        if self._journal:
            columns["at"] = self._journal.add(images, probabilities)
        for name, values in columns.items():
            for prediction, value in zip(predictions, values, strict=False):
                prediction[name] = value
        for prediction in predictions:
            self._metrics.predicted.labels(prediction["predicted"]).inc()
            self._metrics.unsure.inc(prediction["unsure"])
        self._metrics.seconds.observe(time.perf_counter() - started)
        return answer({"model": self._title, "predictions": predictions})

    async def _receive(
        self,
        request: Request,
        body: bytearray,
    ) -> None:
        try:
            async with asyncio.timeout(BODY_S):
                async for chunk in request.stream():
                    if len(body) + len(chunk) > MAX_BODY:
                        raise HTTPException(413, f"over {MAX_BODY:,} bytes long")
                    if self._held + len(chunk) > MAX_HELD:
                        raise HTTPException(503, "too many requests wait", {"Retry-After": "1"})
                    self._held += len(chunk)
                    body += chunk
        except TimeoutError:
            sentence = f"the body was not complete within {BODY_S:.0f} s"
            raise HTTPException(408, sentence, {"Connection": "close"}) from None
        except ClientDisconnect:
            raise HTTPException(400, "the request was cut off") from None

    async def _read(
        self,
        kind: str,
        body: bytes,
    ) -> tuple[Images, list[str]]:
        description = self._model.description
        work = partial(read, kind, body, description.shape, description.fit)
        if kind not in PICTURES and len(body) <= QUICK:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def answer(
    content: Any,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """JSON; NumPy's arrays become lists, each float32 as short as tells it from others."""
    return Response(orjson.dumps(content, option=JSON), status, headers, "application/json")
