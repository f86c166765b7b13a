"""The paths of the server: its page, its questions and its probes."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from traceback import print_exc
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import orjson
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from imageproof.base._dataset import Images, Probabilities
from imageproof.base._inference import not_probabilities
from imageproof.serve import _v2
from imageproof.serve._bodies import MAX_BODY, MAX_IMAGES, PICTURES, read
from imageproof.serve._documents import OPENAPI, answer, home_page
from imageproof.serve._metrics import Metrics
from imageproof.serve._model import Answers, Batcher, Model
from imageproof.system._bodies import MAX_BYTES, Bodies
from imageproof.system.guard import Guard

if TYPE_CHECKING:
    from imageproof.serve._journal import Journal, Times
    from imageproof.serve._shadow import Shadow


T = TypeVar("T")
Handler = Callable[[Request], Awaitable[Response]]

QUICK = 50_000  # bytes of JSON or pixels; reading more takes longer than a prediction
PROBES = "/health", "/ready", "/metrics", "/v2/health/live", "/v2/health/ready"
LINGER_S = 5.0  # after SIGTERM, until those who ask whether it is ready send no more requests


class Service:
    def __init__(
        self,
        model: Model,
        journal: "Journal | None" = None,
        shadow: "Shadow | None" = None,
    ) -> None:
        """A service with a shadow has a journal, too."""
        self._model = model
        self._journal = journal
        self._shadow = shadow
        self._title = model.description.title
        self._tensors = _v2.Tensors(model.description, logs=journal is not None)
        self._thread = ThreadPoolExecutor(1, "read")  # one at a time, for the memory it needs
        self._metrics = Metrics(self._title)
        self._batcher = Batcher(model.network.predict, on_batch=self._metrics.batches.observe)
        self._bodies = Bodies()
        self._metrics.waiting.set_function(lambda: self._batcher.waiting)
        if journal:
            self._metrics.lost.set_function(lambda: journal.lost)
        self._is_ready = True  # the server listens after its model has answered
        self._is_probed = False
        self._paths = self._routes()

    def app(self) -> ASGIApp:
        return Guard(self._respond, probes=PROBES)

    @asynccontextmanager
    async def draining(self) -> AsyncIterator[None]:
        """Be not ready, and answer until a cluster that asks for it sends no more requests.

        Within the block the last requests are answered.
        """
        self._is_ready = False
        if self._is_probed:
            await asyncio.sleep(LINGER_S)
        yield
        if self._shadow:
            await self._shadow.end()

    def _routes(self) -> dict[str, tuple[str, Handler]]:
        """The method and the handler of each path."""
        description = self._model.description
        documents = {
            "/health": {"status": "ok", "model": self._title},
            "/model": description.model_dump(),
            "/openapi.json": orjson.loads(OPENAPI.read_bytes()),
            "/v2": _v2.server_metadata(),
            "/v2/health/live": {"live": True},
        }
        ready = ("GET", self._ready)
        routes: dict[str, tuple[str, Handler]] = {
            "/": ("GET", self._home),
            "/predict": ("POST", self._predict),
            "/metrics": ("GET", self._show_metrics),
            "/ready": ready,
            "/v2/health/ready": ready,
        }
        name = f"/v2/models/{description.name}"
        for path in (name, f"{name}/versions/{description.version}"):
            documents[path] = self._tensors.metadata()
            routes[f"{path}/ready"] = ready
            routes[f"{path}/infer"] = ("POST", self._infer)
        return routes | {path: ("GET", partial(_show, text)) for path, text in documents.items()}

    async def _respond(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        # without Starlette's routing and middleware, which take a sixth of the time of a request
        path = scope["path"] if scope["path"] in self._paths else "other"
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
        if path not in self._paths:
            raise HTTPException(404, f"no such path; there are {', '.join(self._paths)}")
        method, handler = self._paths[path]
        if request.method != method and (request.method, method) != ("HEAD", "GET"):
            raise HTTPException(405, f"{method} is allowed", {"Allow": method})
        return await handler(request)

    async def _ready(self, _: Request) -> Response:
        self._is_probed = True
        return answer({"ready": self._is_ready}, 200 if self._is_ready else 503)

    async def _show_metrics(self, _: Request) -> Response:
        return Response(generate_latest(self._metrics.registry), media_type=CONTENT_TYPE_LATEST)

    async def _home(self, request: Request) -> Response:
        return HTMLResponse(home_page(self._model.description, str(request.base_url)))

    async def _predict(self, request: Request) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        parse = partial(read, kind, self._model.description)
        return await self._question(request, parse, self._predictions, is_slow=kind in PICTURES)

    def _predictions(
        self,
        treatments: list[str],
        answers: Answers,
        times: "Times",
    ) -> Response:
        predictions = answers.predictions()
        for name, values in (("picture", treatments), ("at", times)):
            for prediction, value in zip(predictions, values, strict=False):
                prediction[name] = value
        return answer({"model": self._title, "predictions": predictions})

    async def _infer(self, request: Request) -> Response:
        parse = partial(self._tensors.read, header=request.headers.get(_v2.HEADER))
        return await self._question(request, parse, self._tensors.answer)

    async def _question(
        self,
        request: Request,
        parse: Callable[[bytes], tuple[T, Images]],
        respond: "Callable[[T, Answers, Times], Response]",
        *,
        is_slow: bool = False,
    ) -> Response:
        """The response to what `parse` reads in the body, beside its images, and their answers."""
        started = time.perf_counter()
        limit = MAX_BYTES if is_slow else MAX_BODY
        async with self._bodies.read(request, limit) as body:
            if is_slow or len(body) > QUICK:
                loop = asyncio.get_running_loop()
                extra, images = await loop.run_in_executor(self._thread, parse, body)
            else:
                extra, images = parse(body)
            if len(images) > MAX_IMAGES:
                allowed = f"at most {MAX_IMAGES:,} are allowed"
                raise HTTPException(413, f"{len(images):,} images; {allowed}")
            probabilities = await self._batcher.predict(images)
        if finding := not_probabilities(probabilities):
            raise HTTPException(500, f"the model gives no probabilities: {finding}")
        answers = self._model.answers(probabilities)
        times = self._log(images, probabilities)
        self._metrics.count(answers, time.perf_counter() - started)
        return respond(extra, answers, times)

    def _log(self, images: Images, probabilities: Probabilities) -> "Times":
        """The keys of the rows in the log; the challenger gets the images later."""
        if not self._journal:
            return np.empty(0, "M8[us]")
        if not self._shadow:
            return self._journal.add(images, probabilities)
        takes = self._shadow.takes(images)
        self._metrics.shadow.labels("asked" if takes else "left_out").inc(len(images))
        times = self._journal.add(images, probabilities, shadow=np.full(len(images), takes))
        if takes:
            self._shadow.ask(times, images)
        return times


async def _show(content: Any, _: Request) -> Response:
    return answer(content)
