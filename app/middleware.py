"""What surrounds every request: its id, its line in the log, its place in the metrics; and what can
be got can be asked for its head alone.

Pure ASGI, so that nothing is buffered and a caller who hangs up is seen. It is also the last net:
an error that nothing else has answered becomes a 500 problem document here, and what the server
cancels at its end a 503.
"""

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Callable
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.error_responses import error_response, problem_response
from app.logs import PROBES, log_request
from app.metrics import Metrics
from app.problems import INTERNAL, REFUSALS

REQUEST_ID_HEADER = "X-Request-ID"

ACCEPTABLE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""A caller's own id is taken over when it cannot break a log line or flood it."""

CLIENT_CLOSED = 499
"""When no answer was begun: the request was cancelled, and nobody is there to read one."""

logger = logging.getLogger(__name__)


class RequestMiddleware:
    """Wraps an app; leaves `request.state.request_id` for all within.

    Args:
        app: whose requests they are.
        metrics: told of each.
        ending: asked when a request is cancelled: what its caller is told; None while the service
            goes on.
    """

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        ending: Callable[[], Exception | None] = lambda: None,
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._ending = ending

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or whatever else ASGI sends through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = _request_id(scope)
        scope["state"] = {**scope.get("state", {}), "request_id": request_id}
        head_only = scope["method"] == "HEAD"
        inner = {**scope, "method": "GET"} if head_only else scope
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID_HEADER] = request_id
                if status == 405 and headers.get("Allow") == "GET":
                    headers["Allow"] = "GET, HEAD"
            elif head_only and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        try:
            await self._app(inner, receive, send_with_id)
        except asyncio.CancelledError:
            error = self._ending()
            if status or error is None:
                raise
            await error_response(Request(inner), error)(inner, receive, send_with_id)
        except Exception:
            logger.exception("unhandled error", extra={"fields": {"request_id": request_id}})
            if not status:
                response = problem_response(Request(inner), INTERNAL)
                await response(inner, receive, send_with_id)
        finally:
            seconds = time.perf_counter() - started
            self._observe(inner, scope["method"], status, seconds)

    def _observe(self, scope: Scope, method: str, status: int, seconds: float) -> None:
        state: dict[str, Any] = scope["state"]
        route: str | None = getattr(scope.get("route"), "path", None)
        code = state.get("problem_code")
        outcome = {"problem": code} if code else state.get("outcome", {})
        status = status or CLIENT_CLOSED
        self._metrics.observe_request(route, method, status, seconds)
        if code and status in REFUSALS and route not in PROBES:
            self._metrics.observe_refusal(code)
        log_request(
            request_id=state["request_id"],
            method=method,
            route=route,
            status=status,
            seconds=seconds,
            outcome=outcome,
        )


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).get(REQUEST_ID_HEADER, "")
    return given if ACCEPTABLE_ID.fullmatch(given) else uuid.uuid4().hex
