"""What an operator can set: environment variables `SERFIQ_…`, one per field of `Settings`.

Every field is described in `docs/operations.md`, and a test holds the two together. This file
knows no model and no HTTP.
"""

from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.usable_cores import usable_cores
from serfiq_core.types import (
    FEWEST_PASSES,
    MOST_PASSES,
    Convention,
    DeviceName,
    Estimator,
    PrecisionChoice,
)

MOST_DEFAULT_WORKERS = 8
"""Decoding one capture at the pixel limit holds 0.3 to 0.8 GB: more workers are a choice."""

LEAST_PATIENCE_SECONDS = 10.0
"""However soon callers give up: the dearest capture takes a core a second or two, and on a busy
machine several times as long. To kill workers for being slow would make all of them slower."""

DAY_SECONDS = 86_400.0
"""Longer than anybody waits, and no number that sockets and timers refuse."""


def _default_prepare_workers() -> int:
    return min(usable_cores(), MOST_DEFAULT_WORKERS)


class Settings(BaseSettings):
    """All settings, validated once at start."""

    # A variable that a template left empty is one that nobody set.
    model_config = SettingsConfigDict(env_prefix="SERFIQ_", env_ignore_empty=True, frozen=True)

    # An empty one would be every address there is.
    host: str = Field(default="127.0.0.1", min_length=1)
    port: int = Field(default=8000, ge=0, le=65535)
    metrics_port: int | None = Field(default=None, ge=1, le=65535)

    pack: str = "compact"
    packs_dir: Path | None = None
    device: DeviceName = "auto"
    precision: PrecisionChoice = "auto"
    estimator: Estimator = "sampled"
    convention: Convention = "paper"
    passes: int = Field(default=100, ge=FEWEST_PASSES, le=MOST_PASSES)
    seed: int = Field(default=0, ge=0, lt=2**63)
    profiles_path: Path | None = None
    shadow_profile: str | None = None
    allow_unsuitable: bool = False

    # A 12-megapixel photograph from a telephone is 3 to 6 MB as JPEG.
    max_body_bytes: int = Field(default=10 * 1024 * 1024, ge=1)
    # 64 captures of 1 MiB, the JPEG of a 2-megapixel camera at a desk; or ten photographs from a
    # telephone.
    max_batch_body_bytes: int = Field(default=64 * 1024 * 1024, ge=1)
    # Two cores are through with so much in less than a second. It bounds memory too: a capture is
    # a unit at least, so these are 64 bodies of 10 MiB at most.
    max_queued_work: float = Field(default=64.0, ge=1, allow_inf_nan=False)
    # None: the engine finds out.
    max_batch_size: int | None = Field(default=None, ge=1)
    prepare_workers: int = Field(default_factory=_default_prepare_workers, ge=1)
    request_timeout_seconds: float = Field(default=30.0, gt=0, le=DAY_SECONDS)
    # Kubernetes kills after 30 seconds unless told otherwise.
    shutdown_grace_seconds: float = Field(default=25.0, ge=0, le=DAY_SECONDS)

    api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "text"] = "json"

    @property
    def patience_seconds(self) -> float:
        """What takes longer, one capture's preparation or one batch, hangs."""
        return max(self.request_timeout_seconds, LEAST_PATIENCE_SECONDS)

    @field_validator("api_keys", mode="before")
    @classmethod
    def _split_keys(cls, value: object) -> object:
        """Keys come separated by commas; blanks around them do not count."""
        if not isinstance(value, str):
            return value
        keys = [key.strip() for key in value.split(",") if key.strip()]
        if value and not keys:
            raise ValueError("there is no key in it, and without one everybody may ask")
        if not all(key.isascii() and key.isprintable() for key in keys):
            raise ValueError("keys travel in headers: printable ASCII")
        return keys

    @field_validator("log_level", mode="before")
    @classmethod
    def _in_any_case(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @property
    def open_to_all(self) -> bool:
        """Whether anybody beyond this machine may ask without a key."""
        return not (self.api_keys or _is_loopback(self.host))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def unknown_settings(environment: Iterable[str]) -> list[str]:
    """Those `SERFIQ_…` among the names of environment variables that set nothing."""
    known = {f"serfiq_{name}" for name in Settings.model_fields}
    return sorted(
        name
        for name in environment
        if name.lower().startswith("serfiq_") and name.lower() not in known
    )
