"""Log lines for people and for machines: one line per transition, with kind, namespace, name, generation and reason."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Literal

FIELDS = ("kind", "namespace", "name", "generation", "reason")


def fields(**values: Any) -> dict[str, Any]:
    """`extra` of a log call; None values are left out."""
    return {key: value for key, value in values.items() if value is not None}


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record with its known fields; a traceback, where there is one, in `error`."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            "logger": record.name,
        }
        # `name` is taken by logging itself, so the object's name travels as `object`.
        for field in FIELDS:
            value = getattr(record, "object" if field == "name" else field, None)
            if value is not None:
                line[field] = value
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """`time LEVEL message kind=… namespace=… …`."""

    def format(self, record: logging.LogRecord) -> str:
        """The record on one line, then the traceback where there is one."""
        time = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S.%f")[:-3]
        line = f"{time} {record.levelname:7} {record.getMessage()}"
        for field in FIELDS:
            value = getattr(record, "object" if field == "name" else field, None)
            if value is not None:
                line += f" {field}={value}"
        return line + ("\n" + self.formatException(record.exc_info) if record.exc_info else "")


def about(
    kind: str, namespace: str, name: str, generation: int | None = None, reason: str | None = None
) -> dict[str, Any]:
    """`extra` for a line about one object."""
    return fields(kind=kind, namespace=namespace, object=name, generation=generation, reason=reason)


def configure(level: str, form: Literal["json", "text"]) -> None:
    """Send everything to stderr in that form. Libraries speak from warnings on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("accord").setLevel(level.upper())
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    logging.getLogger("asyncio").setLevel(logging.ERROR)
