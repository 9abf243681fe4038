"""`POST /quality/batch`: several captures of one subject in; each assessed, the best one named."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from app.batch_body import extract_images
from app.batch_schemas import BatchAnswer
from app.capture_body import not_empty
from app.dependencies import engine_of, language_of, metrics_of, settings_of
from app.device import CapturePipeline
from app.jobs import Job
from app.metrics import Metrics
from app.openapi import BATCH_BODY, CALLER, IN_A_LANGUAGE, problems
from app.problems import ProblemDocument, problem_of
from app.request_body import read_body
from app.request_errors import BodyTooLargeError, RequestError
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
from serfiq_core.errors import CaptureError, SerfiqError
from serfiq_core.image_header import HEAD_BYTES
from serfiq_core.one_subject.comparison import compare
from serfiq_core.scheduling.work import LEAST_WORK
from serfiq_core.types import Assessment, PreparedCapture

router = APIRouter(tags=["quality"])

logger = logging.getLogger(__name__)


@router.post(
    "/quality/batch",
    response_model=BatchAnswer,
    summary="Assess several captures of one subject, and name the best",
    openapi_extra=BATCH_BODY | CALLER,
    responses=IN_A_LANGUAGE | problems(400, 401, 408, 413, 415, 422, 429, 500, 503, 504),
)
async def assess_batch(request: Request, query: Annotated[QualityQuery, Query()]) -> Response:
    """Each capture as `POST /quality` would assess it, which of them is the best, and whether they
    are of one person.

    What is wrong with one capture is said in its place; the others are answered.
    """
    engine, settings = engine_of(request), settings_of(request)
    metrics, language = metrics_of(request), language_of(request)
    info = engine.info
    refuse_repeated(request)
    check_options(query, info)
    seconds = settings.request_timeout_seconds
    deadline = time.monotonic() + seconds
    body = [await read_body(request, settings.max_batch_body_bytes, seconds)]
    with answered_within(seconds):
        outcomes = await unless_client_leaves(
            request,
            engine.assess_batch(
                _taking_apart(request, body, query, settings.max_body_bytes),
                # A body of so many captures at their largest, so that what is held in memory for
                # each unit has the same bound as with single captures.
                work=max(LEAST_WORK, len(body[0]) / settings.max_body_bytes),
                deadline=deadline,
            ),
        )
    _raise_if_none_was_reached(outcomes)

    def answer() -> str:
        assessments = [each if isinstance(each, Assessment) else None for each in outcomes]
        answers = [
            answer_of(request, query, info, metrics, language, each, index)
            if isinstance(each, Assessment)
            else _problem(each, index, request.state.request_id, metrics)
            for index, each in enumerate(outcomes)
        ]
        limit = info.same_person_cosine
        batch = BatchAnswer.of(
            request.state.request_id, answers, compare(assessments, limit), limit, query.include
        )
        request.state.outcome = _tally(answers, batch)
        return batch.model_dump_json(exclude_unset=True)

    # Sixty-four embeddings and maps are too much for the event loop.
    return json_in(language, await run_in_threadpool(answer))


def _taking_apart(
    request: Request, body: list[bytearray], query: QualityQuery, most_bytes: int
) -> Callable[[], Sequence[Job]]:
    """`body` is handed over in a list, and taken out of it: nobody holds it beside its images."""
    content_type = request.headers.get("content-type", "")

    def take_apart() -> list[Job]:
        images = extract_images(content_type, body.pop(), most_bytes)
        return [_job(image, query, most_bytes) for image in images]

    return take_apart


def _job(image: bytes | None, query: QualityQuery, most_bytes: int) -> Job:
    if image is None:
        return Job(partial(_refuse, most_bytes), LEAST_WORK)
    prepare = partial(_prepare, image, query.aligned)
    work = work_for(image[:HEAD_BYTES], query)
    return Job(prepare, work, query.with_gradient, query.estimator, query.profile)


def _prepare(image: bytes, aligned: bool, pipeline: CapturePipeline) -> PreparedCapture:
    return pipeline.prepare(not_empty(image), aligned=aligned)


def _refuse(most_bytes: int, _: CapturePipeline) -> PreparedCapture:
    raise BodyTooLargeError(f"One capture may have {most_bytes} bytes at most.")


def _raise_if_none_was_reached(outcomes: Sequence[Assessment | Exception]) -> None:
    """An engine that answers for no capture is no news about any of them: the request fails, with
    a status that proxies and callers know how to take."""
    errors = [each for each in outcomes if isinstance(each, Exception)]
    of_captures = any(isinstance(each, CaptureError | RequestError) for each in errors)
    if len(errors) == len(outcomes) and not of_captures:
        raise errors[0]


def _problem(error: Exception, index: int, request_id: str, metrics: Metrics) -> ProblemDocument:
    if not isinstance(error, SerfiqError | RequestError):
        fields = {"request_id": request_id, "item": index}
        logger.error("unhandled error", exc_info=error, extra={"fields": fields})
    problem = problem_of(error, request_id)
    metrics.observe_batch_problem(problem.code)
    return problem


def _tally(
    answers: Sequence[QualityAnswer | ProblemDocument], batch: BatchAnswer
) -> dict[str, Any]:
    """For the log: counts, and nothing of any one capture."""
    assessed = [each for each in answers if isinstance(each, QualityAnswer)]
    return {
        "captures": len(answers),
        "verdicts": dict(Counter(each.decision.verdict for each in assessed)),
        "problems": dict(Counter(e.code for e in answers if isinstance(e, ProblemDocument))),
        "no_best": batch.no_best,
    }
