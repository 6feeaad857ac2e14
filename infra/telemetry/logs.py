"""Structured logs: one JSON object a line on stderr, or plain text where a person looks on.

`log = logger(stage="ensemble")`, then `log.info("recovered", partition=3, seconds=1.2)`. What other libraries log at
WARNING and above comes in the same form once `route` was called. Logging never raises and never shows a secret.
"""

import datetime
import logging
import os
import re
import sys
import time
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import orjson

FORM = "WINDVANE_LOGS"
"""The variable that says which form: json or text; without it text on a terminal, else json."""
LEAST = "WINDVANE_LOG_LEVEL"
"""The variable that says what is not written: anything below it, info where it is not set."""

REPEAT_SECONDS = 10.0
"""A library says one thing at most once in so long: a broker that is away would fill the disk."""

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
VARIABLES = {FORM: ("json", "text"), LEAST: tuple(_LEVELS)}
"""What each variable may be set to; a log passes over anything else, and the command line refuses it."""

_FIRST = ("stage", "partition", "book", "seq")
_SECRET = re.compile(r"passw|secret|token|credential|sasl|hmac|(^|_)key($|_)|private", re.IGNORECASE)
_SECRET_TEXT = re.compile(
    r"""([\w.-]*(?:passw|secret|token|credential|sasl|hmac|private|_key)[\w.-]*["']?\s*[=:]\s*)"""
    r"""("[^"]*"|'[^']*'|[^\s,;)}\]]+)""",
    re.IGNORECASE,
)
_MOST_DIFFERENT = 1000
_INT64 = 2**63


class Log:
    """Writes lines with the fields that were bound to it."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = dict(fields)

    def bind(self, **fields: Any) -> "Log":
        """A log whose lines have these fields, too."""
        return Log({**self._fields, **fields})

    def debug(self, event: str, **fields: Any) -> None:
        """What only who looks for a fault wants to see; written where WINDVANE_LOG_LEVEL is debug."""
        self._write("debug", event, fields)

    def info(self, event: str, **fields: Any) -> None:
        """What happened."""
        self._write("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """What a person may want to look at by day."""
        self._write("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """What a person must look at."""
        self._write("error", event, fields)

    def _write(self, level: str, event: str, fields: Mapping[str, Any]) -> None:
        if _LEVELS[level] >= _least():
            emit(level, event, {**self._fields, **fields})


def logger(**fields: Any) -> Log:
    """A log; fields such as stage and partition stand in each of its lines."""
    return Log(fields)


def emit(level: str, event: str, fields: Mapping[str, Any]) -> None:
    """Write one line; what cannot be written is dropped, since the work goes on."""
    seconds, ns = divmod(time.time_ns(), 1_000_000_000)
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    moment = f"{moment}.{ns // 1000:06d}Z"
    named = [name for name in _FIRST if name in fields] + [name for name in fields if name not in _FIRST]
    values = {name: _shown(name, fields[name]) for name in named}
    try:
        sys.stderr.write(
            _text(moment, level, event, values) if _plain() else _json(moment, level, event, values)
        )
        sys.stderr.flush()
    except (OSError, ValueError):  # a pipe that nobody reads, or a stream that is closed
        return


def _json(moment: str, level: str, event: str, values: Mapping[str, Any]) -> str:
    line = {"ts": moment, "level": level, "event": _clean(event)}
    extra = {name if name not in line else f"{name}_": value for name, value in values.items()}
    return orjson.dumps({**line, **extra}, option=orjson.OPT_NON_STR_KEYS).decode() + "\n"


def _text(moment: str, level: str, event: str, values: Mapping[str, Any]) -> str:
    said = " ".join(f"{name}={value}" for name, value in values.items())
    line = f"{moment[11:23]} {level:7} {_clean(event)}{'  ' if said else ''}{said}"
    return line.replace("\n", "\\n") + "\n"


def _shown(name: str, value: Any, depth: int = 0) -> Any:
    """A value as JSON can hold it."""
    if _SECRET.search(name) and value is not None:
        return "***"
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if -_INT64 <= value < _INT64 else str(value)
    if isinstance(value, str | PurePath | BaseException):
        return _clean(str(value))
    if isinstance(value, bytes):
        return _clean(value[:200].decode(errors="replace"))
    if depth < 3 and isinstance(value, Mapping):
        return {_clean(str(key)): _shown(str(key), one, depth + 1) for key, one in value.items()}
    if depth < 3 and isinstance(value, list | tuple | set | frozenset):
        return [_shown("", one, depth + 1) for one in value]
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "size", 0) == 1:  # a number of numpy
        return _shown(name, item(), depth + 1)
    return type(value).__name__


def _clean(text: str) -> str:
    """Text that is valid UTF-8 and shows no secret."""
    return _SECRET_TEXT.sub(r"\1***", text.encode("utf-8", "replace").decode())


def _plain() -> bool:
    form = os.environ.get(FORM, "").lower()
    return form == "text" or (form != "json" and sys.stderr.isatty())


def _least() -> int:
    return _LEVELS.get(os.environ.get(LEAST, "").lower(), logging.INFO)


class Handler(logging.Handler):
    """Takes in what other libraries log."""

    def __init__(self, level: int = logging.WARNING, fields: Mapping[str, Any] | None = None) -> None:
        super().__init__(level)
        self._fields = dict(fields or {})
        self._last: dict[tuple[str, str], tuple[float, int]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, unless the same was said just now."""
        now = time.monotonic()
        key = (record.name, str(record.msg))
        last, held = self._last.get(key, (-REPEAT_SECONDS, 0))
        if now - last < REPEAT_SECONDS:
            self._last[key] = (last, held + 1)
            return
        if len(self._last) >= _MOST_DIFFERENT:
            self._last.clear()
        self._last[key] = (now, 0)
        fields = {**self._fields, "logger": record.name}
        if held:
            fields["repeated"] = held
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            fields["error"] = f"{type(error).__name__}: {error}"
            fields["trace"] = logging.Formatter().formatException(record.exc_info)  # type: ignore[arg-type]
        level = record.levelname.lower()
        emit(level if level in _LEVELS else "warning", _message(record), fields)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage().strip()
    except (TypeError, ValueError, KeyError):  # a message whose arguments do not fit it
        return str(record.msg)


def route(level: int = logging.WARNING, **fields: Any) -> Handler:
    """Send what all libraries log into the same form; to be called again after Faust has set up its own logging."""
    handler = Handler(level, fields)
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(True)
    return handler


def config(level: int = logging.WARNING, **fields: Any) -> dict[str, Any]:
    """The same as a dictionary for logging.config: what a Faust worker takes as its `logging_config`."""
    handler = {"()": Handler, "level": level, "fields": fields}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"windvane": handler},
        "root": {"handlers": ["windvane"], "level": level},
    }
