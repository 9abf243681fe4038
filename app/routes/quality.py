"""`POST /quality`: one capture in, one assessment out."""

import asyncio
import time
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from app.capture_body import extract_image, peek_image
from app.dependencies import engine_of, language_of, metrics_of, settings_of
from app.device import CapturePipeline
from app.jobs import Job
from app.openapi import CALLER, CAPTURE_BODY, IN_A_LANGUAGE, problems
from app.request_body import read_body
from app.routes.answering import (
    answer_of,
    answered_within,
    check_options,
    json_in,
    refuse_repeated,
    unless_client_leaves,
    work_for,
)
from app.schemas import QualityAnswer, QualityQuery
from serfiq_core.types import Assessment, PreparedCapture

router = APIRouter(tags=["quality"])


@router.post(
    "/quality",
    response_model=QualityAnswer,
    summary="Assess one capture",
    openapi_extra=CAPTURE_BODY | CALLER,
    responses=IN_A_LANGUAGE | problems(400, 401, 408, 413, 415, 422, 429, 500, 503, 504),
)
async def assess_quality(request: Request, query: Annotated[QualityQuery, Query()]) -> Response:
    """How useful the photograph will be to the recogniser, and whether to accept it.

    A photograph that was assessed answers 200 whatever the decision: "no face" is a result.
    """
    engine, settings = engine_of(request), settings_of(request)
    metrics, language = metrics_of(request), language_of(request)
    info = engine.info
    refuse_repeated(request)
    check_options(query, info)
    seconds = settings.request_timeout_seconds
    deadline = time.monotonic() + seconds

    async def read_and_assess() -> Assessment:
        body = await read_body(request, settings.max_body_bytes, seconds)
        content_type = request.headers.get("content-type", "")
        work = work_for(peek_image(content_type, body), query)

        def prepare(pipeline: CapturePipeline) -> PreparedCapture:
            return pipeline.prepare(extract_image(content_type, body), aligned=query.aligned)

        job = Job(prepare, work, query.with_gradient, query.estimator, query.profile)
        assessing = engine.assess(job, deadline=deadline)
        async with asyncio.timeout(deadline - time.monotonic()):
            return await unless_client_leaves(request, assessing)

    with answered_within(seconds):
        assessment = await read_and_assess()
    make_answer = partial(answer_of, request, query, info, metrics, language)
    if query.overlays:
        answer = await asyncio.to_thread(make_answer, assessment)
    else:
        answer = make_answer(assessment)
    decision = assessment.decision
    request.state.outcome = {
        "profile": decision.profile,
        "verdict": decision.verdict,
        "reasons": [reason.code for reason in decision.reasons],
    }
    # FastAPI would check once more what pydantic has made.
    return json_in(language, answer.model_dump_json(exclude_unset=True))
