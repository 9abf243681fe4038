"""One structured line per request and one per decision, and how lines are written.

Lines carry ids, routes, times and decisions. Never an image or its hash, an embedding, landmarks or
a score to its last digit: what is logged must not help to find a person or a photograph again.
"""

import json
import logging
import logging.config
import time
from datetime import UTC, datetime
from typing import Any, Literal

logger = logging.getLogger("serfiq.requests")
decisions_logger = logging.getLogger("serfiq.decisions")

PROBES = frozenset({"/livez", "/readyz", "/startupz", "/metrics"})
"""Asked every few seconds: logged at debug and counted apart, lest they bury the rest."""


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON; `extra={"fields": …}` becomes members of it."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class TextFormatter(logging.Formatter):
    """A record as a line for people, in UTC too."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def format(self, record: logging.LogRecord) -> str:
        """The line, and a traceback below it when there is one."""
        fields = getattr(record, "fields", {})
        return " ".join([super().format(record), *(f"{k}={v}" for k, v in fields.items())])


class WithoutUpgrades(logging.Filter):
    """Without uvicorn's two warnings for each request that offers an upgrade: it is answered as all
    others are."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is another one."""
        return not record.getMessage().startswith(("Unsupported upgrade", "No supported WebSocket"))


def configure_logging(level: str, form: Literal["json", "text"]) -> None:
    """Sends every logger of the process to stderr, in one form."""
    formatters = {
        "json": {"()": JsonFormatter},
        "text": {"()": TextFormatter, "format": "%(asctime)s %(levelname)s %(name)s %(message)s"},
    }
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": formatters[form]},
            "filters": {"upgrades": {"()": WithoutUpgrades}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
            "loggers": {
                "uvicorn.error": {"filters": ["upgrades"]},
                "python_multipart": {"level": "ERROR"},  # whose callers get a problem document
            },
            "root": {"handlers": ["stderr"], "level": level.upper()},
        }
    )


def log_request(
    *,
    request_id: str,
    method: str,
    route: str | None,
    status: int,
    seconds: float,
    outcome: dict[str, Any],
) -> None:
    """One line for one request; `outcome` is its decision, or the code of its problem."""
    fields = {
        "request_id": request_id,
        "method": method,
        "route": route,
        "status": status,
        "seconds": round(seconds, 4),
        **outcome,
    }
    level = logging.DEBUG if route in PROBES else logging.INFO
    logger.log(level, "request", extra={"fields": fields})


def log_decision(record: dict[str, Any]) -> None:
    """One line for one decision; `record` is what may be logged of its record."""
    decisions_logger.info("decision", extra={"fields": record})
