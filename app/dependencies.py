"""What routes ask for: engine, settings and metrics of this app; a caller's key and language.

All are `async`, though none waits: FastAPI would send each of them to a thread otherwise.
"""

import hashlib
import hmac
from typing import Annotated

from fastapi import Depends, Header, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from app.engine import Engine
from app.hints import Language
from app.languages import negotiate
from app.metrics import Metrics
from app.request_errors import UnauthorisedError
from app.settings import Settings


async def get_settings(request: Request) -> Settings:
    """The settings of this app."""
    settings: Settings = request.app.state.settings
    return settings


async def get_engine(request: Request) -> Engine:
    """The engine of this app."""
    engine: Engine = request.app.state.engine
    return engine


async def get_metrics(request: Request) -> Metrics:
    """The metrics of this app."""
    metrics: Metrics = request.app.state.metrics
    return metrics


async def get_language(
    accept_language: Annotated[
        list[str] | None, Header(description="Languages for the hints: en, zh, de, es, fr.")
    ] = None,
) -> Language:
    """The language to speak to this caller. A header on several lines is one list."""
    return negotiate(",".join(accept_language or ()))


SettingsDependency = Annotated[Settings, Depends(get_settings)]
EngineDependency = Annotated[Engine, Depends(get_engine)]
MetricsDependency = Annotated[Metrics, Depends(get_metrics)]
LanguageDependency = Annotated[Language, Depends(get_language)]

_key_header = APIKeyHeader(name="X-API-Key", auto_error=False)
_bearer = HTTPBearer(auto_error=False)


async def check_api_key(request: Request, settings: Settings) -> None:
    """Lets a request pass when no keys are set, or when it carries one of them.

    Raises:
        UnauthorisedError: it carries none, or one that is not known.
    """
    if settings.api_keys:
        await require_api_key(settings, await _key_header(request), await _bearer(request))


async def require_api_key(
    settings: SettingsDependency,
    key: Annotated[str | None, Security(_key_header)],
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
) -> None:
    """`check_api_key` as a dependency, with both headers in the OpenAPI document.

    Raises:
        UnauthorisedError: as for `check_api_key`.
    """
    if not settings.api_keys:
        return
    given = key if key is not None else bearer.credentials if bearer else ""
    # Digests have one length, and every known key is compared: the time taken tells nothing.
    digest = _digest(given)
    known = [hmac.compare_digest(digest, _digest(k.get_secret_value())) for k in settings.api_keys]
    if not any(known):
        raise UnauthorisedError("Send a valid key as X-API-Key, or as Authorization: Bearer.")


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
