"""What the server logs: text for people, or one JSON object a line for machines.

A task's line holds its id, kind, outcome and seconds. No line holds a payload or an output.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Literal

TASK_LOGGER = "edge_server.tasks"
"""One record a task, at level info, with the attribute ``fields``."""
_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_tasks = logging.getLogger(TASK_LOGGER)


def log_task(
    request_id: int, kind: str, outcome: str, total_s: float, compute_s: float, message: str = ""
) -> None:
    """Log the end of one task.

    Args:
        request_id: the client's id of the request.
        outcome: ``ok`` or an error code.
        total_s, compute_s: seconds from the whole request to its answer, and of the task itself.
        message: why it failed.
    """
    if not _tasks.isEnabledFor(logging.INFO):
        return
    fields: dict[str, Any] = {
        "id": request_id,
        "kind": kind,
        "outcome": outcome,
        "queue_s": round(max(0.0, total_s - compute_s), 6),
        "compute_s": round(compute_s, 6),
    }
    if message:
        fields["reason"] = message
    words = " ".join(f"{name}={value}" for name, value in fields.items())
    _tasks.info("task %s", words, extra={"fields": fields})


class JsonFormatter(logging.Formatter):
    """One JSON object a record: ``time`` (UTC), ``level``, ``logger``, ``message`` or ``task``."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        time = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "time": time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        fields = getattr(record, "fields", None)
        if fields is not None:
            line["task"] = fields
        else:
            line["message"] = record.getMessage()
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True)


def configure_logs(log_format: Literal["text", "json"], level: str | None) -> None:
    """Log to stderr in that format, from that level on; None: info in JSON, warning in text."""
    if level is None:
        level = "info" if log_format == "json" else "warning"
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else logging.Formatter(_TEXT))
    logging.basicConfig(level=level.upper(), handlers=[handler])
