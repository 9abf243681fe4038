"""Problem documents as responses, and the handlers that answer with them whatever goes wrong.

Which problem an error is, `app/problems.py` says. This file knows no model and no routes.
"""

from collections.abc import Mapping
from http import HTTPStatus
from math import ceil
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from app import request_errors
from app.problems import (
    BAD_REQUEST,
    INVALID_PARAMETERS,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    PROBLEM_MEDIA_TYPE,
    ProblemDocument,
    ProblemKind,
    document_of,
    kind_of,
    problem_of,
)
from serfiq_core import errors

MOST_COMPLAINTS = 10
"""Told of one request: of thousands of unknown parameters, the first will do."""


def problem_response(request: Request, kind: ProblemKind) -> Response:
    """The answer to a request that has a problem of which there is nothing more to say."""
    return _response(request, document_of(kind, None, request.state.request_id))


def error_response(request: Request, error: Exception) -> Response:
    """The answer to a request that an error of the core, or its own, has ended."""
    return _response(request, problem_of(error, request.state.request_id), _headers(error))


def install_error_handlers(app: FastAPI) -> None:
    """Turns every error of the core, of a request and of the framework into a problem document."""
    app.add_exception_handler(errors.SerfiqError, _answer_error)
    app.add_exception_handler(request_errors.RequestError, _answer_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_framework)


def _response(
    request: Request, document: ProblemDocument, headers: Mapping[str, str] | None = None
) -> Response:
    """Leaves the problem's `code` for the log and the metrics."""
    request.state.problem_code = document.code
    return Response(
        document.model_dump_json(exclude_none=True),
        document.status,
        media_type=PROBLEM_MEDIA_TYPE,
        headers=dict(headers or {}),
    )


async def _answer_error(request: Request, error: Exception) -> Response:
    return error_response(request, error)


def _headers(error: Exception) -> dict[str, str]:
    if isinstance(error, errors.OverloadedError):
        return {"Retry-After": str(ceil(error.retry_after_seconds))}
    if isinstance(error, request_errors.UnauthorisedError):
        return {"WWW-Authenticate": "Bearer"}
    if isinstance(error, request_errors.UnsupportedEncodingError):
        return {"Accept-Encoding": "identity"}
    if isinstance(error, request_errors.BodyTimeoutError):
        return {"Connection": "close"}  # or what comes later would be taken for a request
    seconds = kind_of(error).retry_after_seconds
    return {} if seconds is None else {"Retry-After": str(seconds)}


async def _answer_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = [
        {"location": ".".join(map(str, each["loc"])), "message": _message(each)}
        for each in error.errors()[:MOST_COMPLAINTS]
    ]
    detail = "; ".join(f"{each['location']}: {each['message']}" for each in found)
    document = document_of(INVALID_PARAMETERS, detail, request.state.request_id)
    document.errors = found
    return _response(request, document)


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
    document = document_of(kind, None, request.state.request_id)
    headers: Mapping[str, str] | None = error.headers
    return _response(request, document, headers)
