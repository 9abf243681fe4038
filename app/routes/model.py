"""`GET /model`: what the scores depend on."""

from dataclasses import asdict

from fastapi import APIRouter, Depends, Request

from app.dependencies import engine_of, require_api_key
from app.model_schemas import ModelAnswer
from app.openapi import problems

router = APIRouter(tags=["model"], dependencies=[Depends(require_api_key)])


@router.get("/model", summary="The pack in use", responses=problems(401, 503))
async def describe_model(request: Request) -> ModelAnswer:
    """Pack, checksums, licence, suitability verdict, estimator, calibration and profiles."""
    info = engine_of(request).info
    fields = asdict(info) | {"default_profile": next(iter(info.profiles))}
    return ModelAnswer.model_validate(fields)
