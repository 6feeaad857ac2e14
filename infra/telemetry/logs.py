"""Structured logs: one JSON object a line on stderr, or plain text where stderr is a terminal.

`log = logger(stage="ensemble")`, then `log.info("recovered", partition=3, seconds=1.2)`. After `route` was called, what
other libraries log at WARNING and above is written in the same form. Logging never raises and never shows a secret.
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
"""The environment variable for the form of logs, json or text; without it text on a terminal, else json."""
LEAST = "WINDVANE_LOG_LEVEL"
"""The environment variable for the lowest level that is written; info where it is not set."""

REPEAT_SECONDS = 10.0
"""The same message of a library is written at most once in so many seconds.

Otherwise a client that retries while the broker is down would fill the disk.
"""

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
    """Writes log lines, each with the fields that are bound to this object."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = dict(fields)

    def bind(self, **fields: Any) -> "Log":
        """Return a new Log that also has these fields."""
        return Log({**self._fields, **fields})

    def debug(self, event: str, **fields: Any) -> None:
        """Log details for somebody who looks for a fault; written only where WINDVANE_LOG_LEVEL is debug."""
        self._write("debug", event, fields)

    def info(self, event: str, **fields: Any) -> None:
        """Log something that happened as it should."""
        self._write("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Log something that a person should look at, but not at once."""
        self._write("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """Log something that a person must look at."""
        self._write("error", event, fields)

    def _write(self, level: str, event: str, fields: Mapping[str, Any]) -> None:
        if _LEVELS[level] >= _least():
            emit(level, event, {**self._fields, **fields})


def logger(**fields: Any) -> Log:
    """Return a Log whose every line has these fields, such as stage and partition."""
    return Log(fields)


def emit(level: str, event: str, fields: Mapping[str, Any]) -> None:
    """Write one line to stderr, whatever the lowest level is.

    Values of fields whose name suggests a secret are masked. Where stderr is closed or broken the line is dropped,
    since logging must not stop the work.
    """
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
    except (OSError, ValueError):  # a pipe without a reader, or a stream that is closed
        return


def _json(moment: str, level: str, event: str, values: Mapping[str, Any]) -> str:
    """A line of JSON; a field named as one of the first three gets a trailing underscore."""
    line = {"ts": moment, "level": level, "event": _clean(event)}
    extra = {name if name not in line else f"{name}_": value for name, value in values.items()}
    return orjson.dumps({**line, **extra}, option=orjson.OPT_NON_STR_KEYS).decode() + "\n"


def _text(moment: str, level: str, event: str, values: Mapping[str, Any]) -> str:
    """A line of text with the time of day, without a line break inside."""
    pairs = " ".join(f"{name}={value}" for name, value in values.items())
    line = f"{moment[11:23]} {level:7} {_clean(event)}{'  ' if pairs else ''}{pairs}"
    return line.replace("\n", "\\n") + "\n"


def _shown(name: str, value: Any, depth: int = 0) -> Any:
    """A value as JSON can hold it: masked where `name` suggests a secret, and the type's name for unknown types."""
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
    """Text as valid UTF-8, with what follows a word like "password=" masked."""
    return _SECRET_TEXT.sub(r"\1***", text.encode("utf-8", "replace").decode())


def _plain() -> bool:
    """Whether lines are text instead of JSON."""
    form = os.environ.get(FORM, "").lower()
    return form == "text" or (form != "json" and sys.stderr.isatty())


def _least() -> int:
    """The lowest level that is written, read anew each time, so that a test can change it."""
    return _LEVELS.get(os.environ.get(LEAST, "").lower(), logging.INFO)


class Handler(logging.Handler):
    """A handler of Python's logging that writes what other libraries log in this project's form.

    fields: stand in each of its lines.
    """

    def __init__(self, level: int = logging.WARNING, fields: Mapping[str, Any] | None = None) -> None:
        super().__init__(level)
        self._fields = dict(fields or {})
        self._last: dict[tuple[str, str], tuple[float, int]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, unless the same message was written less than ten seconds ago; logging calls it.

        The next line of that message says how often it was left out.
        """
        now = time.monotonic()
        key = (record.name, str(record.msg))
        last, dropped = self._last.get(key, (-REPEAT_SECONDS, 0))
        if now - last < REPEAT_SECONDS:
            self._last[key] = (last, dropped + 1)
            return
        if len(self._last) >= _MOST_DIFFERENT:
            self._last.clear()
        self._last[key] = (now, 0)
        fields = {**self._fields, "logger": record.name}
        if dropped:
            fields["repeated"] = dropped
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            fields["error"] = f"{type(error).__name__}: {error}"
            fields["trace"] = logging.Formatter().formatException(record.exc_info)  # type: ignore[arg-type]
        level = record.levelname.lower()
        emit(level if level in _LEVELS else "warning", _message(record), fields)


def _message(record: logging.LogRecord) -> str:
    """The text of a record with its arguments."""
    try:
        return record.getMessage().strip()
    except (TypeError, ValueError, KeyError):  # a message whose arguments do not fit it
        return str(record.msg)


def route(level: int = logging.WARNING, **fields: Any) -> Handler:
    """Replace all handlers of the root logger by one that writes in this project's form, and return it.

    Call it again after a library such as Faust has set up logging for itself. level: the lowest one that is written;
    fields: stand in each line.
    """
    handler = Handler(level, fields)
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(True)
    return handler


def config(level: int = logging.WARNING, **fields: Any) -> dict[str, Any]:
    """Return the settings that `route` makes as a dictionary for `logging.config`.

    A Faust worker takes it as its `logging_config`, since it would replace a handler set before.
    """
    handler = {"()": Handler, "level": level, "fields": fields}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"windvane": handler},
        "root": {"handlers": ["windvane"], "level": level},
    }
