"""The one table from errors to problems as HTTP has them, RFC 9457.

An error that is not in the table takes the row of its nearest ancestor. What no row covers is a
500 that says nothing of the inside. This file knows no model, no routes and no web framework.
"""

from dataclasses import dataclass

from pydantic import BaseModel, Field

from app import request_errors
from serfiq_core import errors

PROBLEM_MEDIA_TYPE = "application/problem+json"

STARTING_RETRY_SECONDS = 2
"""The embedded pack loads in a few seconds; a probe's usual period is of that size too."""

DRAINING_RETRY_SECONDS = 1
"""The answer closes its connection: on the next one another instance may be met at once."""

DEVICE_MEMORY_RETRY_SECONDS = 5
"""One face does not fit only while another process fills the device, for a few batches say."""


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


def problem_of(error: Exception, request_id: str) -> ProblemDocument:
    """The document of what ended a request, or of what befell one capture of it."""
    kind = kind_of(error)
    return document_of(kind, str(error) if kind.speaks else None, request_id)


def document_of(kind: ProblemKind, detail: str | None, request_id: str) -> ProblemDocument:
    """The document of a kind; without a `detail` its title is all that is said."""
    return ProblemDocument(
        type=f"urn:serfiq:problem:{kind.code}",
        title=kind.title,
        status=kind.status,
        detail=detail or f"{kind.title}.",
        code=kind.code,
        request_id=request_id,
    )
