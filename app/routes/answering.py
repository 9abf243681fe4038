"""What one capture and several have in common: options checked, answers made, callers who leave."""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError

from app.hints import Language
from app.logs import log_decision
from app.metrics import Metrics
from app.request_errors import ClientLeftError
from app.schemas import Overlay, QualityAnswer, QualityQuery
from serfiq_core.errors import DeadlineExceededError, OptionUnavailableError
from serfiq_core.maps.overlay import overlay_png
from serfiq_core.scheduling.work import GRADIENT_WORK, work_of
from serfiq_core.types import Assessment, PipelineInfo

Result = TypeVar("Result")
Shares = npt.NDArray[np.float32]


def refuse_repeated(request: Request) -> None:
    """Of a parameter that has one value, two leave open which was meant.

    Raises:
        RequestValidationError: names each that was given more than once.
    """
    counts = Counter(name for name, _ in request.query_params.multi_items())
    repeated = [name for name, count in counts.items() if count > 1 and name != "include"]
    if repeated:
        complaint = {"type": "repeated", "msg": "Given more than once"}
        raise RequestValidationError([{**complaint, "loc": ("query", each)} for each in repeated])


def check_options(query: QualityQuery, info: PipelineInfo) -> None:
    """Refuses before any work what the pipeline could only refuse after it."""
    if query.profile is not None and query.profile not in info.profiles:
        raise OptionUnavailableError(
            f"There is no such profile; there are: {', '.join(info.profiles)}."
        )
    maps = {"instability_map", "instability_overlay"}
    if maps & set(query.include) and info.map_shape is None:
        raise OptionUnavailableError(
            "This recogniser has no instability map: its features are no spatial map."
        )


def work_for(head: bytes | None, query: QualityQuery) -> float:
    """Units of work of one capture, with what was asked for; `head` as for `work_of`."""
    return work_of(head) + (GRADIENT_WORK if query.with_gradient else 0.0)


def json_in(language: Language, text: str) -> Response:
    """An answer whose hints are in this language, as those who keep copies must know."""
    return Response(
        text,
        media_type="application/json",
        headers={"Content-Language": language, "Vary": "Accept-Language"},
    )


def answer_of(
    request: Request,
    query: QualityQuery,
    info: PipelineInfo,
    metrics: Metrics,
    language: Language,
    assessment: Assessment,
    item: int | None = None,
) -> QualityAnswer:
    """The answer to one capture, whose decision is counted and logged; `item`: its place in its
    batch.

    Overlays are milliseconds of work: with them not for the event loop.
    """
    answer = QualityAnswer.of(
        assessment,
        info,
        query.include,
        request_id=request.state.request_id,
        time=datetime.now(UTC),
        language=language,
        overlays=_draw_overlays(assessment, query.overlays),
        item=item,
    )
    metrics.observe_assessment(assessment, answer.raw_score)
    log_decision(answer.decision_record.for_log())
    return answer


def _draw_overlays(
    assessment: Assessment, wanted: Sequence[Overlay]
) -> dict[Overlay, bytes | None]:
    """Those asked for; None where there is no face, or its map could not be computed."""
    scores, face = assessment.scores, assessment.aligned
    maps: dict[Overlay, Shares | None] = {
        "instability_overlay": scores.instability_map if scores else None,
        "gradient_overlay": scores.gradient_map if scores else None,
    }
    drawn: dict[Overlay, bytes | None] = {}
    for name in wanted:
        shares = maps[name]
        drawn[name] = None
        if face is not None and shares is not None and np.isfinite(shares).all():
            drawn[name] = overlay_png(face, shares)
    return drawn


@contextmanager
def answered_within(seconds: float) -> Iterator[None]:
    """Tells a caller whose time ran out of the `seconds` that he had; nothing is counted here.

    Raises:
        DeadlineExceededError: instead of TimeoutError.
    """
    try:
        yield
    except TimeoutError as error:
        raise DeadlineExceededError(f"No answer was ready within {seconds:g} seconds.") from error


async def unless_client_leaves(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
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
