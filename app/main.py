"""Wiring: settings in, an app out, and a server around it. Nothing here decides anything."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager, nullcontext, suppress
from importlib.metadata import version
from operator import attrgetter
from typing import NoReturn

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from uvicorn.server import HANDLED_SIGNALS

from app.connection_close import ConnectionClose
from app.device import CapturePipeline
from app.early_refusal import EarlyRefusal
from app.engine import Engine
from app.error_responses import install_error_handlers
from app.loading import load_with_workers
from app.logs import configure_logging
from app.metrics import Metrics
from app.metrics_port import serving_metrics
from app.middleware import RequestMiddleware
from app.openapi import openapi_of
from app.routes import batch, documentation, health, model, quality
from app.server import CONNECTIONS_SECONDS, DrainingServer, configured
from app.settings import Settings, unknown_settings

logger = logging.getLogger(__name__)


def create_app(settings: Settings, load: Callable[[], CapturePipeline] | None = None) -> FastAPI:
    """The service as an ASGI app, whose lifespan loads the model in the background.

    Args:
        settings: all there is to set.
        load: makes the pipeline; the pack that the settings name when None.
    """
    metrics = Metrics()
    workers = ExitStack()
    engine = Engine(settings, metrics, load or (lambda: load_with_workers(settings, workers)))

    def ending() -> Exception | None:
        return engine.ending

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with (
            nullcontext()
            if settings.metrics_port is None
            else serving_metrics(metrics, settings.host, settings.metrics_port)
        ):
            engine.start()
            # After a second signal the server does not say that it ends: it cancels what is left.
            with suppress(asyncio.CancelledError):
                yield
            try:
                await run_in_threadpool(engine.close)
            finally:
                workers.close()

    app = FastAPI(
        title="SER-FIQ",
        version=version("serfiq"),
        description="How useful a face photograph will be to your own recogniser.",
        lifespan=lifespan,
        openapi_url=None,
        generate_unique_id_function=attrgetter("name"),
        redirect_slashes=False,  # a redirect would be no problem document
    )
    app.state.settings, app.state.engine, app.state.metrics = settings, engine, metrics
    app.openapi = openapi_of(app)  # type: ignore[method-assign]
    captures = [*quality.router.routes, *batch.router.routes]
    app.add_middleware(EarlyRefusal, settings=settings, engine=engine, routes=captures)
    app.add_middleware(RequestMiddleware, metrics=metrics, ending=ending)
    # The outermost: a connection that lingers is no part of a request's time.
    app.add_middleware(ConnectionClose, ending=ending)
    install_error_handlers(app)
    for router in (quality.router, batch.router, model.router, health.router, documentation.router):
        app.include_router(router)
    if settings.metrics_port is None:
        app.include_router(health.metrics_router)
    return app


def serve(settings: Settings, load: Callable[[], CapturePipeline] | None = None) -> NoReturn:
    """Serves until a signal ends it, and ends the process: with status 1 when the model could not
    be loaded or the engine died, with 3 when a port is taken, and otherwise with 0.

    Arguments as for `create_app`.
    """
    configure_logging(settings.log_level, settings.log_format)
    for name in unknown_settings(os.environ):
        logger.warning("%s is no setting, and is ignored", name)
    if settings.open_to_all:
        logger.warning(
            "there are no API keys: everybody who reaches port %d of %s may ask",
            settings.port,
            settings.host,
        )
    app = create_app(settings, load)
    config = configured(
        app,
        host=settings.host,
        port=settings.port,
        timeout_graceful_shutdown=CONNECTIONS_SECONDS,
    )
    engine: Engine = app.state.engine
    server = DrainingServer(config, engine, settings.shutdown_grace_seconds)
    for number in HANDLED_SIGNALS:
        # uvicorn gives back what it finds: after its end, a signal has nothing left to end.
        signal.signal(number, server.handle_exit)
    try:
        server.run()
    except SystemExit as ended:
        status = ended.code
    else:
        status = 1 if engine.failed or server.broken else 0
    _end(status)


def _end(status: str | int | None) -> NoReturn:
    """With this status, whoever signals, and whether or not anybody reads what is printed. The
    interpreter does not end in its own way: a thread that was left to itself and comes back from
    torch meanwhile would end the process with SIGABRT."""
    for number in HANDLED_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    try:
        logging.shutdown()  # which flushes standard error
        sys.stdout.flush()
    finally:
        os._exit(status if isinstance(status, int) else 1)
