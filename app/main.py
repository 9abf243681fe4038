"""Wiring: settings in, an app out, and a server around it. Nothing here decides anything."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

import uvicorn
from fastapi import FastAPI
from prometheus_client import start_http_server
from starlette.concurrency import run_in_threadpool

from app.engine import CapturePipeline, Engine
from app.error_responses import install_error_handlers
from app.logs import configure_logging
from app.metrics import Metrics
from app.middleware import RequestMiddleware
from app.openapi import openapi_of
from app.routes import documentation, health, model, quality
from app.server import CONNECTIONS_SECONDS, DrainingServer
from app.settings import Settings

if TYPE_CHECKING:
    from serfiq_core.pipeline import Pipeline


def create_app(settings: Settings, load: Callable[[], CapturePipeline] | None = None) -> FastAPI:
    """The service as an ASGI app, whose lifespan loads the model in the background.

    Args:
        settings: all there is to set.
        load: makes the pipeline; the pack that the settings name when None.
    """
    metrics = Metrics()
    engine = Engine(settings, metrics, load or (lambda: load_pack(settings)))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if settings.metrics_port is not None:
            start_http_server(settings.metrics_port, settings.host, metrics.registry)
        engine.start()
        yield
        await run_in_threadpool(engine.close)

    app = FastAPI(
        title="SER-FIQ",
        version=version("serfiq"),
        description="How useful a face photograph will be to your own recogniser.",
        lifespan=lifespan,
        openapi_url=None,
    )
    app.state.settings, app.state.engine, app.state.metrics = settings, engine, metrics
    app.openapi = openapi_of(app)  # type: ignore[method-assign]
    app.add_middleware(RequestMiddleware, metrics=metrics)
    install_error_handlers(app)
    for router in (quality.router, model.router, health.router, documentation.router):
        app.include_router(router)
    if settings.metrics_port is None:
        app.include_router(health.metrics_router)
    return app


def serve(settings: Settings, load: Callable[[], CapturePipeline] | None = None) -> None:
    """Serves until a signal ends it. Arguments as for `create_app`.

    Raises:
        SystemExit: with status 1 when the model could not be loaded, 3 when a port is taken.
    """
    configure_logging(settings.log_level, settings.log_format)
    app = create_app(settings, load)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=CONNECTIONS_SECONDS,
    )
    engine: Engine = app.state.engine
    DrainingServer(config, engine, settings.shutdown_grace_seconds).run()
    if engine.failed:
        sys.exit(1)


def load_pack(settings: Settings) -> Pipeline:
    """The pipeline of the pack that the settings name.

    Raises:
        PackError, ConfigurationError: what `serfiq_core.loading.load_pipeline` raises.
    """
    # Imports torch, which takes seconds: the probes answer meanwhile.
    from serfiq_core.loading import load_pipeline
    from serfiq_core.packs.registry import default_packs_dir, find_pack

    return load_pipeline(
        find_pack(settings.pack, settings.packs_dir or default_packs_dir()),
        device=settings.device,
        precision=settings.precision,
        estimator=settings.estimator,
        convention=settings.convention,
        passes=settings.passes,
        seed=settings.seed,
        profiles_path=settings.profiles_path,
    )
