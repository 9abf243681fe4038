"""What the OpenAPI document says beyond what the routes' types say, and in which dialect.

The document is OpenAPI 3.0: the Swagger UI that PyPI carries renders no later one, and it is what
most client generators take. FastAPI writes the schemas of 3.1, which differ in how they say "or
null" and "exactly this".
"""

from collections.abc import Callable, Iterable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.batch_body import MEMBER, MOST_CAPTURES
from app.capture_body import IMAGE_MEDIA_TYPES
from app.example_answer import ABOUT_THE_EXAMPLE, EXAMPLE_ANSWER
from app.form import FIELD
from app.problems import PROBLEM_MEDIA_TYPE, ProblemDocument, ProblemKind, all_kinds
from app.schemas import QualityAnswer

OPENAPI_VERSION = "3.0.3"

HERE = "."
"""Where the API is, relative to the document's own address: so a proxy's prefix is before both."""


def _header(name: str, description: str, type_name: str = "string") -> dict[str, Any]:
    return {name: {"description": description, "schema": {"type": type_name}}}


REQUEST_ID = _header(
    "X-Request-ID", "The id of the request, as in the log; the caller's own where it sent one."
)
"""A header of every answer."""

IN_A_LANGUAGE: dict[int | str, dict[str, Any]] = {
    200: {
        "headers": {
            **_header("Content-Language", "Of the hints."),
            **_header("Vary", "Accept-Language: the hints depend on it."),
        }
    }
}
"""The `responses` of a route whose answer has hints."""


def _object_of(member: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": [member],
        "properties": {member: schema},
        "additionalProperties": False,
    }


def _several(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "maxItems": MOST_CAPTURES, "items": schema}


CAPTURE_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "One capture: JPEG, PNG, WebP or BMP. For a raw image the bytes decide "
        "which of them it is, whatever its Content-Type says.",
        "content": {
            "multipart/form-data": {
                "schema": _object_of(FIELD, {"type": "string", "format": "binary"}),
            },
            "application/json": {
                "schema": _object_of(FIELD, {"type": "string", "format": "byte"}),
            },
            **{
                media_type: {"schema": {"type": "string", "format": "binary"}}
                for media_type in IMAGE_MEDIA_TYPES
            },
        },
    }
}

BATCH_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": f"1 to {MOST_CAPTURES} captures of one subject, each as for one capture.",
        "content": {
            "multipart/form-data": {
                "schema": _object_of(FIELD, _several({"type": "string", "format": "binary"})),
                "encoding": {FIELD: {"contentType": ", ".join(IMAGE_MEDIA_TYPES)}},
            },
            "application/json": {
                "schema": _object_of(MEMBER, _several({"type": "string", "format": "byte"})),
                "example": {MEMBER: ["/9j/4AAQSkZJRg…", "/9j/4AAQSkZJRg…"]},
            },
        },
    }
}


CALLER: dict[str, Any] = {
    "parameters": [
        {
            "name": "accept-language",
            "in": "header",
            "required": False,
            "description": "Languages for the hints: en, zh, de, es, fr.",
            "schema": {"type": "string"},
        },
        {
            "name": "x-request-id",
            "in": "header",
            "required": False,
            "description": "An id of the caller's own, for the answer and the log: letters, "
            "digits, '.', '_' and '-'. Any other is replaced.",
            "schema": {"type": "string", "maxLength": 64},
        },
    ],
    # Checked in `early_refusal.py`, before FastAPI; `GET /model` brings the schemes.
    "security": [{"APIKeyHeader": []}, {"HTTPBearer": []}],
}
"""What the routes that take captures look at beside the capture: who asks, in which language."""


RETRY_AFTER = _header("Retry-After", "Seconds.", "integer")

PROBLEM_HEADERS: dict[int, dict[str, Any]] = {
    401: _header("WWW-Authenticate", "Bearer."),
    408: _header("Connection", "close."),
    415: _header("Accept-Encoding", "identity, with `unsupported_content_encoding`."),
    429: RETRY_AFTER,
    503: RETRY_AFTER,
}
"""By status, those that problems bring besides; `error_responses.py` sets them."""


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that answers with problems of these statuses."""
    return {status: _problem(status) for status in statuses}


def _problem(status: int) -> dict[str, Any]:
    kinds = [kind for kind in all_kinds() if kind.status == status]
    response: dict[str, Any] = {
        "description": "; ".join(f"`{code}`" for code in _codes(kinds)),
        "content": {
            PROBLEM_MEDIA_TYPE: {
                "schema": {"$ref": f"#/components/schemas/{ProblemDocument.__name__}"}
            }
        },
    }
    if headers := PROBLEM_HEADERS.get(status):
        response["headers"] = dict(headers)
    return response


def _codes(kinds: Iterable[ProblemKind]) -> list[str]:
    return list(dict.fromkeys(kind.code for kind in kinds))


def openapi_of(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """Makes the document of an app, once."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(
                title=app.title,
                version=app.version,
                summary=None,
                description=app.description,
                routes=app.routes,
                servers=[{"url": HERE}],
            )
            made["openapi"] = OPENAPI_VERSION
            schemas = made.setdefault("components", {}).setdefault("schemas", {})
            for response in _responses(made):
                response.setdefault("headers", {}).update(REQUEST_ID)
            # Here, since FastAPI takes away what is null.
            answer = schemas[QualityAnswer.__name__]
            answer["description"] += f" {ABOUT_THE_EXAMPLE}"
            answer["example"] = EXAMPLE_ANSWER
            schemas[ProblemDocument.__name__] = ProblemDocument.model_json_schema()
            app.openapi_schema = in_openapi_3_0(made)
        return app.openapi_schema

    return document


def _responses(document: dict[str, Any]) -> list[dict[str, Any]]:
    operations = [each for path in document["paths"].values() for each in path.values()]
    return [response for each in operations for response in each["responses"].values()]


def in_openapi_3_0(value: Any) -> Any:
    """The same, with 3.1's `anyOf: […, {type: null}]` and `const` in the words of 3.0, which has
    none for `propertyNames`."""
    if isinstance(value, list):
        return [in_openapi_3_0(each) for each in value]
    if not isinstance(value, dict):
        return value
    said = {key: in_openapi_3_0(each) for key, each in value.items()}
    said.pop("propertyNames", None)
    if "const" in said:
        said["enum"] = [said.pop("const")]
    choices = said.get("anyOf")
    if not isinstance(choices, list) or {"type": "null"} not in choices:
        return said
    del said["anyOf"]
    others = [choice for choice in choices if choice != {"type": "null"}]
    if len(others) > 1 or "$ref" in others[0]:
        # `nullable` says nothing of what is behind a $ref: null is one choice more.
        said["anyOf"] = [*others, {"enum": [None], "nullable": True}]
    else:
        said = {**others[0], **said}
        if "enum" in said:
            said["enum"] = [*said["enum"], None]
    return {**said, "nullable": True}
