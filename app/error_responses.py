"""The one table from errors to HTTP, and the problem documents (RFC 9457) made from it.

An error that is not in the table takes the row of its nearest ancestor. What no row covers is a
500 that says nothing of the inside. This file knows no model and no routes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from math import ceil
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from app import request_errors
from serfiq_core import errors

PROBLEM_MEDIA_TYPE = "application/problem+json"

STARTING_RETRY_SECONDS = 2
"""The embedded pack loads in a few seconds; a probe's usual period is of that size too."""

DRAINING_RETRY_SECONDS = 1
"""The answer closes its connection: on the next one another instance may be met at once."""

DEVICE_MEMORY_RETRY_SECONDS = 5
"""One face does not fit only while something else fills the device, for some batches of its own."""


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """One row: `code` is stable and for programs, `title` for people.

    `speaks`: the error's own words go to the caller; False where they may name files or settings.
    """

    status: int
    code: str
    title: str
    speaks: bool = True
    retry_after_seconds: int | None = None


INTERNAL = ProblemKind(500, "internal_error", "Something went wrong inside", speaks=False)
INVALID_PARAMETERS = ProblemKind(422, "invalid_parameters", "A parameter cannot be used")
NOT_FOUND = ProblemKind(404, "not_found", "There is no such resource")
METHOD_NOT_ALLOWED = ProblemKind(405, "method_not_allowed", "The resource has no such method")
BAD_REQUEST = ProblemKind(400, "bad_request", "The request cannot be understood")

PROBLEMS: dict[type[Exception], ProblemKind] = {
    errors.SerfiqError: INTERNAL,
    errors.CaptureError: ProblemKind(422, "capture_unusable", "The capture cannot be used"),
    errors.UnsupportedImageTypeError: ProblemKind(
        415, "unsupported_image_type", "Not an image type that is taken"
    ),
    errors.UndecodableImageError: ProblemKind(
        422, "undecodable_image", "The image cannot be decoded"
    ),
    errors.ImageDimensionsError: ProblemKind(
        422, "image_dimensions", "The image is too large or too small"
    ),
    errors.NotAlignedError: ProblemKind(422, "not_aligned", "The image is no aligned face"),
    errors.OptionUnavailableError: ProblemKind(
        422, "option_unavailable", "Not available with this recogniser or these profiles"
    ),
    errors.PackError: INTERNAL,
    errors.ConfigurationError: INTERNAL,
    errors.RecordError: INTERNAL,
    errors.EvaluationError: INTERNAL,
    errors.TrainingError: INTERNAL,
    errors.EngineError: INTERNAL,
    errors.OverloadedError: ProblemKind(429, "overloaded", "Too many captures are waiting"),
    errors.DeadlineExceededError: ProblemKind(
        504, "deadline_exceeded", "The answer was not ready in time"
    ),
    # No 503, which proxies repeat elsewhere: the capture that killed one worker would go from
    # worker to worker.
    errors.PreparationFailedError: ProblemKind(
        500, "preparation_failed", "The capture could not be prepared"
    ),
    errors.DeviceMemoryError: ProblemKind(
        503,
        "device_memory",
        "The device has no memory left",
        retry_after_seconds=DEVICE_MEMORY_RETRY_SECONDS,
    ),
    errors.EngineStalledError: ProblemKind(503, "engine_stalled", "The engine is stuck"),
    errors.EngineStoppedError: ProblemKind(503, "engine_stopped", "The engine has stopped"),
    request_errors.MalformedBodyError: ProblemKind(
        400, "malformed_body", "The body cannot be understood"
    ),
    request_errors.CaptureCountError: ProblemKind(
        422, "capture_count", "A batch has no captures, or too many"
    ),
    request_errors.UnauthorisedError: ProblemKind(
        401, "unauthorised", "An API key is missing or wrong"
    ),
    request_errors.BodyTooLargeError: ProblemKind(413, "body_too_large", "The body is too large"),
    request_errors.BodyTimeoutError: ProblemKind(
        408, "body_timeout", "The body did not come in time"
    ),
    request_errors.UnsupportedBodyError: ProblemKind(
        415, "unsupported_content_type", "The Content-Type is not taken"
    ),
    request_errors.UnsupportedEncodingError: ProblemKind(
        415, "unsupported_content_encoding", "The Content-Encoding is not taken"
    ),
    # 499 is no registered status. Nobody reads it; it keeps callers who left apart in the metrics.
    request_errors.ClientLeftError: ProblemKind(499, "client_left", "The caller hung up"),
    request_errors.StartingError: ProblemKind(
        503, "starting", "The model is being loaded", retry_after_seconds=STARTING_RETRY_SECONDS
    ),
    request_errors.DrainingError: ProblemKind(
        503,
        "draining",
        "The service is shutting down",
        retry_after_seconds=DRAINING_RETRY_SECONDS,
    ),
    request_errors.LoadFailedError: ProblemKind(
        503, "load_failed", "The model could not be loaded"
    ),
}

REFUSALS = frozenset({401, 413, 429, 503, 504})
"""Statuses that turn a capture away unseen, for a cause that lies not in the image."""


class ProblemDocument(BaseModel):
    """An error, as RFC 9457 has it."""

    type: str = Field(description="Names the kind of problem; ends in `code`.")
    title: str = Field(description="The kind of problem, for people.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What went wrong this time.")
    code: str = Field(description="The kind of problem, for programs. Never changes.")
    request_id: str = Field(description="Also in the header `X-Request-ID`, and in the log.")
    errors: list[dict[str, str]] | None = Field(
        default=None, description="With `invalid_parameters`: where each error lies, and what."
    )


def kind_of(error: Exception) -> ProblemKind:
    """The row of the error's class, or of its nearest ancestor that has one."""
    rows = (PROBLEMS[cls] for cls in type(error).__mro__ if cls in PROBLEMS)
    return next(rows, INTERNAL)


def all_kinds() -> list[ProblemKind]:
    """Every row there is, the framework's included."""
    return [*PROBLEMS.values(), INVALID_PARAMETERS, NOT_FOUND, METHOD_NOT_ALLOWED, BAD_REQUEST]


def problem_response(
    request: Request,
    kind: ProblemKind,
    detail: str | None = None,
    headers: Mapping[str, str] | None = None,
    invalid: list[dict[str, str]] | None = None,
) -> Response:
    """The problem document of one request; leaves its `code` for the log and the metrics."""
    request.state.problem_code = kind.code
    document = _document(kind, detail, request.state.request_id)
    if invalid is not None:
        document.errors = invalid
    return Response(
        document.model_dump_json(exclude_none=True),
        kind.status,
        media_type=PROBLEM_MEDIA_TYPE,
        headers=dict(headers or {}),
    )


def error_response(request: Request, error: Exception) -> Response:
    """The problem document of a request that an error of the core, or its own, has ended."""
    kind = kind_of(error)
    detail = str(error) if kind.speaks else None
    return problem_response(request, kind, detail, _headers(error, kind))


def problem_of(error: Exception, request_id: str) -> ProblemDocument:
    """The problem document of what befell one capture of a request."""
    kind = kind_of(error)
    return _document(kind, str(error) if kind.speaks else None, request_id)


def _document(kind: ProblemKind, detail: str | None, request_id: str) -> ProblemDocument:
    return ProblemDocument(
        type=f"urn:serfiq:problem:{kind.code}",
        title=kind.title,
        status=kind.status,
        detail=detail or f"{kind.title}.",
        code=kind.code,
        request_id=request_id,
    )


MOST_COMPLAINTS = 10
"""Told of one request: of thousands of unknown parameters, the first will do."""


def install_error_handlers(app: FastAPI) -> None:
    """Turns every error of the core, of a request and of the framework into a problem document."""
    app.add_exception_handler(errors.SerfiqError, _answer_error)
    app.add_exception_handler(request_errors.RequestError, _answer_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_framework)


async def _answer_error(request: Request, error: Exception) -> Response:
    return error_response(request, error)


def _headers(error: Exception, kind: ProblemKind) -> dict[str, str]:
    if isinstance(error, errors.OverloadedError):
        return {"Retry-After": str(ceil(error.retry_after_seconds))}
    if isinstance(error, request_errors.UnauthorisedError):
        return {"WWW-Authenticate": "Bearer"}
    if isinstance(error, request_errors.UnsupportedEncodingError):
        return {"Accept-Encoding": "identity"}
    if isinstance(error, request_errors.BodyTimeoutError):
        return {"Connection": "close"}  # or what comes later would be taken for a request
    if kind.retry_after_seconds is not None:
        return {"Retry-After": str(kind.retry_after_seconds)}
    return {}


async def _answer_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = [
        {"location": ".".join(map(str, each["loc"])), "message": _message(each)}
        for each in error.errors()[:MOST_COMPLAINTS]
    ]
    detail = "; ".join(f"{each['location']}: {each['message']}" for each in found)
    return problem_response(request, INVALID_PARAMETERS, detail, invalid=found)


def _message(complaint: Mapping[str, Any]) -> str:
    # pydantic's own words for it, "Extra inputs are not permitted", do not say what is wrong.
    if complaint["type"] == "extra_forbidden":
        return "There is no such parameter"
    return str(complaint["msg"])


async def _answer_framework(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kinds = {404: NOT_FOUND, 405: METHOD_NOT_ALLOWED, 400: BAD_REQUEST}
    fallback = ProblemKind(error.status_code, "bad_request", HTTPStatus(error.status_code).phrase)
    kind = kinds.get(error.status_code, fallback)
    headers: Mapping[str, Any] | None = error.headers
    return problem_response(request, kind, headers=headers)
