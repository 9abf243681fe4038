"""`/livez`, `/readyz`, `/startupz` and `/metrics`: for orchestrators and Prometheus, no key."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

from app.dependencies import engine_of, metrics_of
from app.openapi import problems

router = APIRouter(tags=["operation"])
metrics_router = APIRouter(tags=["operation"])


class Health(BaseModel):
    """A probe's good answer; the bad one is a problem document that says why."""

    status: str


@router.get("/livez", summary="Is the process able to go on?", responses=problems(503))
async def livez(request: Request) -> Health:
    """503 once the engine has died, when only a new process helps; and while it is stuck."""
    engine_of(request).check_alive()
    return Health(status="alive")


@router.get("/readyz", summary="Can it answer now?", responses=problems(503))
async def readyz(request: Request) -> Health:
    """503 while starting, draining or broken."""
    engine_of(request).check_ready()
    return Health(status="ready")


@router.get("/startupz", summary="Is the model loaded and warm?", responses=problems(503))
async def startupz(request: Request) -> Health:
    """503 until it is; stays 200 from then on."""
    engine_of(request).check_started()
    return Health(status="started")


@metrics_router.get("/metrics", summary="Prometheus text", response_class=PlainTextResponse)
async def metrics_text(request: Request) -> Response:
    """All metrics of the service."""
    return Response(generate_latest(metrics_of(request).registry), media_type=CONTENT_TYPE_LATEST)
