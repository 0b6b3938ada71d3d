"""What the server says of itself: `/health`, `/ready` and `/metrics`, without a signature."""

from __future__ import annotations

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ragvec.errors import RagvecError
from ragvec.server.metrics import Figures

__all__ = ["own_application"]


def own_application(*, figures: Figures, probe: Callable[[], object]) -> Starlette:
    """The application; `probe` looks into the store, and raises RagvecError when it cannot."""

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(_: Request) -> Response:
        try:
            await run_in_threadpool(probe)
        except RagvecError as error:
            return JSONResponse({"status": "unavailable", "reason": type(error).__name__}, status_code=503)
        return JSONResponse({"status": "ok"})

    async def metrics(_: Request) -> Response:
        text = await run_in_threadpool(figures.text)
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    return Starlette(routes=[Route("/health", health), Route("/ready", ready), Route("/metrics", metrics)])
