"""The paths of the server: /predict, /health, /model, /metrics."""

import asyncio
import time
from contextlib import ExitStack
from functools import partial

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from digits.core.guard import Guard
from digits.serving.answers import answer, refusal
from digits.serving.batches import Batcher
from digits.serving.bodies import Form, Images
from digits.serving.journal import Journal
from digits.serving.limits import MAX_BODY, MAX_HELD, MAX_WAITING, Bound, Reader
from digits.serving.metrics import Metrics
from digits.serving.model import Model

BODY_S = 10.0  # from the head of a request until its body is there
READ = ("GET", "HEAD")


class Service:
    """Answers requests with a model, and logs what was asked if there is a journal."""

    def __init__(self, model: Model, journal: Journal | None, *, threads: int) -> None:
        self._model, self._journal = model, journal
        self._title = model.description.title
        self._form = Form(model.description.shape, model.description.picture)
        self._metrics = Metrics(self._title)
        self._batcher = Batcher(
            model.network.predict, threads=threads, on_batch=self._metrics.batches.observe
        )
        self._reader = Reader()
        self._held, self._waiting = Bound(MAX_HELD), Bound(MAX_WAITING)
        self._metrics.waiting.set_function(lambda: self._waiting.held)
        self._paths = {
            "/predict": (("POST",), self._predict),
            "/health": (READ, self._health),
            "/model": (READ, self._describe),
            "/metrics": (READ, self._measure),
        }

    def app(self) -> ASGIApp:
        """The ASGI app."""
        guarded = Guard(self._answer, refuse=refusal)

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            path = scope["path"] if scope["path"] in self._paths else "other"

            async def send_counted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    self._metrics.requests.labels(path, message["status"]).inc()
                await send(message)

            await guarded(scope, receive, send_counted)

        return counted

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        # without Starlette's routing and middleware, which take a sixth of the time of a request
        request = Request(scope, receive)
        try:
            allowed, handler = self._paths.get(scope["path"], ((), None))
            if handler is None:
                raise HTTPException(404, f"no such path; there are {', '.join(self._paths)}")
            if request.method not in allowed:
                allow = ", ".join(allowed)
                sentence = f"{request.method} is not allowed here; {allow} is"
                raise HTTPException(405, sentence, {"Allow": allow})
            response = await handler(request)
        except HTTPException as error:
            response = refusal(error.status_code, error.detail, error.headers)
        except Exception:
            response = refusal(500, "the server failed; its log says why")
            await response(scope, receive, send)
            raise
        await response(scope, receive, send)

    async def _predict(self, request: Request) -> Response:
        started = time.perf_counter()
        images, treatments = await self._read(request)
        with self._waiting.hold(len(images)), self._held.hold(images.nbytes):
            probabilities = await self._batcher.predict(images)
        answers = self._model.answers(probabilities)
        for each, treatment in zip(answers, treatments, strict=False):
            each["picture"] = treatment
        if self._journal:
            for each, at in zip(answers, self._journal.add(images, probabilities), strict=True):
                each["at"] = at
        self._metrics.count(answers, time.perf_counter() - started)
        return answer({"model": self._title, "predictions": answers})

    async def _health(self, _request: Request) -> Response:
        return answer({"status": "ok", "model": self._title})

    async def _describe(self, _request: Request) -> Response:
        return answer(self._model.description.model_dump())

    async def _measure(self, _request: Request) -> Response:
        page, kind = self._metrics.page()
        return Response(page, headers={"Content-Type": kind})

    async def _read(self, request: Request) -> Images:
        """The request's images; their body is held in memory only until they are read."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if int(request.headers.get("content-length", "0")) > MAX_BODY:
            raise _too_large()
        body = bytearray()
        with ExitStack() as held:
            try:
                async with asyncio.timeout(BODY_S):
                    async for chunk in request.stream():
                        held.enter_context(self._held.hold(len(chunk)))
                        body += chunk
                        if len(body) > MAX_BODY:
                            raise _too_large()
            except TimeoutError:
                sentence = f"the body was not complete within {BODY_S:.0f} s"
                raise HTTPException(408, sentence, {"Connection": "close"}) from None
            except ClientDisconnect:
                raise HTTPException(400, "the request was cut off") from None
            read = partial(self._form.read, kind, bytes(body))
            return read() if self._form.is_quick(kind, body) else await self._reader.run(read)


def _too_large() -> HTTPException:
    return HTTPException(413, f"over {MAX_BODY:,} bytes long; at most that is allowed")
