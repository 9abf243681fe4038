"""Captures that cannot be accepted at this time, however small, are refused for their head alone.

Pure ASGI, in front of FastAPI: while a crowd is at the door, the event loop must have time for
those who are inside. Who may not ask is refused, then everyone while nobody can be answered, then
everyone while there is no room; queries and bodies stay unread. All else goes through.
"""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from app.dependencies import check_api_key
from app.engine import Engine
from app.error_responses import error_response
from app.request_errors import RequestError
from app.settings import Settings
from serfiq_core.errors import EngineError


class EarlyRefusal:
    """Wraps an app; needs `request.state.request_id`.

    Args:
        app: gets what is not refused.
        settings: who may ask.
        engine: who can be answered.
        routes: those that take captures. Nothing is refused on any other.
    """

    def __init__(
        self, app: ASGIApp, settings: Settings, engine: Engine, routes: Sequence[BaseRoute]
    ) -> None:
        self._app = app
        self._settings = settings
        self._engine = engine
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or whatever else ASGI sends through."""
        if self._takes_captures(scope):
            request = Request(scope)
            try:
                await check_api_key(request, self._settings)
                self._engine.check_room()
            except (RequestError, EngineError) as error:
                await error_response(request, error)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _takes_captures(self, scope: Scope) -> bool:
        """Leaves the route in the scope, as FastAPI would, for the log and the metrics."""
        for route in self._routes:
            match, found = route.matches(scope)
            if match is Match.FULL:
                scope.update(found)
                return True
        return False
