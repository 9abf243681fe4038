"""`/metrics` on a port of its own, served as on the main one: on the same event loop, with the same
care of connections and of requests. prometheus_client's own server has a thread for each
connection, for as long as it stays open."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from uvicorn.server import ServerState

from app.error_responses import install_error_handlers
from app.idle_connections import Connection
from app.metrics import Metrics
from app.middleware import RequestMiddleware
from app.routes.health import metrics_router
from app.server import configured


@asynccontextmanager
async def serving_metrics(metrics: Metrics, host: str, port: int) -> AsyncIterator[None]:
    """Serves Prometheus text while entered.

    Raises:
        OSError: the port is taken.
    """
    app = FastAPI(openapi_url=None)
    app.state.metrics = metrics
    app.add_middleware(RequestMiddleware, metrics=metrics)
    install_error_handlers(app)
    app.include_router(metrics_router)
    config, state = configured(app, lifespan="off"), ServerState()
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(config, state, {}), host, port
    )
    try:
        yield
    finally:
        server.close()
        for connection in list(state.connections):
            connection.shutdown()
