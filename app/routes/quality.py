"""`POST /quality`: one capture in, one assessment out."""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import numpy as np
import numpy.typing as npt
from fastapi import APIRouter, Depends, Query, Request, Response

from app.dependencies import (
    EngineDependency,
    MetricsDependency,
    SettingsDependency,
    require_api_key,
)
from app.engine import CapturePipeline
from app.logs import log_decision
from app.openapi import CAPTURE_BODY, problems
from app.request_body import extract_image, peek_image, read_body
from app.request_errors import ClientLeftError
from app.schemas import Extra, Overlay, QualityAnswer, QualityQuery
from serfiq_core.errors import DeadlineExceededError, OptionUnavailableError
from serfiq_core.overlay import overlay_png
from serfiq_core.types import Assessment, PipelineInfo, PreparedCapture
from serfiq_core.work import GRADIENT_WORK, work_of

Answer = TypeVar("Answer")
Shares = npt.NDArray[np.float32]

router = APIRouter(tags=["quality"], dependencies=[Depends(require_api_key)])


@router.post(
    "/quality",
    response_model=QualityAnswer,
    summary="Assess one capture",
    openapi_extra=CAPTURE_BODY,
    responses=problems(400, 401, 413, 415, 422, 429, 500, 503, 504),
)
async def assess_quality(
    request: Request,
    query: Annotated[QualityQuery, Query()],
    engine: EngineDependency,
    metrics: MetricsDependency,
    settings: SettingsDependency,
) -> Response:
    """How useful the photograph will be to the recogniser, and whether to accept it.

    A photograph that was assessed answers 200 whatever the decision: "no face" is a result.
    """
    info = engine.pipeline.info
    _check_options(query, info)
    engine.check_room()
    seconds = settings.request_timeout_seconds
    deadline = time.monotonic() + seconds

    async def read_and_assess() -> Assessment:
        body = await read_body(request, settings.max_body_bytes)
        content_type = request.headers.get("content-type", "")
        work = work_of(peek_image(content_type, body), len(body))
        if query.with_gradient:
            work += GRADIENT_WORK

        def prepare(pipeline: CapturePipeline) -> PreparedCapture:
            return pipeline.prepare(extract_image(content_type, body), aligned=query.aligned)

        return await _unless_client_leaves(
            request,
            engine.assess(
                prepare,
                work=work,
                estimator=query.estimator,
                profile=query.profile,
                deadline=deadline,
                with_gradient=query.with_gradient,
            ),
        )

    try:
        async with asyncio.timeout(seconds):
            assessment = await read_and_assess()
            overlays = await _draw_overlays(assessment, query.include)
    except TimeoutError as error:
        raise DeadlineExceededError(f"No answer was ready within {seconds:g} seconds.") from error
    answer = QualityAnswer.of(
        assessment, info, query.include, request.state.request_id, datetime.now(UTC), overlays
    )
    metrics.observe_assessment(assessment, answer.raw_score)
    decision = assessment.decision
    request.state.outcome = {
        "profile": decision.profile,
        "verdict": decision.verdict,
        "reasons": [reason.code for reason in decision.reasons],
    }
    log_decision(answer.decision_record.for_log())
    # FastAPI would check once more what pydantic has made.
    return Response(answer.model_dump_json(exclude_unset=True), media_type="application/json")


def _check_options(query: QualityQuery, info: PipelineInfo) -> None:
    """Refuses before any work what the pipeline could only refuse after it."""
    if query.profile is not None and query.profile not in info.profiles:
        raise OptionUnavailableError(
            f"There is no such profile; there are: {', '.join(info.profiles)}."
        )
    if query.estimator == "closed_form" and not info.affine:
        raise OptionUnavailableError("This recogniser has no closed form: its head is not affine.")
    maps = {"instability_map", "instability_overlay"}
    if maps & set(query.include) and info.map_shape is None:
        raise OptionUnavailableError(
            "This recogniser has no instability map: its features are no spatial map."
        )
    if query.with_gradient and not info.affine:
        raise OptionUnavailableError("This recogniser has no gradient map: its head is not affine.")


async def _draw_overlays(
    assessment: Assessment, include: Sequence[Extra]
) -> dict[Overlay, bytes | None]:
    """The drawings asked for; None where there is no face, or its map could not be computed."""
    scores, face = assessment.scores, assessment.aligned
    maps: dict[Overlay, Shares | None] = {
        "instability_overlay": scores.instability_map if scores else None,
        "gradient_overlay": scores.gradient_map if scores else None,
    }
    drawn: dict[Overlay, bytes | None] = {}
    for name, shares in maps.items():
        if name not in include:
            continue
        drawn[name] = None
        if face is not None and shares is not None and np.isfinite(shares).all():
            # Milliseconds of work: not on the event loop.
            drawn[name] = await asyncio.to_thread(overlay_png, face, shares)
    return drawn


async def _unless_client_leaves(request: Request, work: Coroutine[Any, Any, Answer]) -> Answer:
    """The result of `work`, which is cancelled when the caller hangs up first."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_disconnection(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientLeftError("The caller hung up before the answer was ready.")
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()


async def _disconnection(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
