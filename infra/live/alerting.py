"""Alerting: alerts to a webhook and a sign of life to a dead man's switch, from a thread of its own.

alerting = Alerting.of_environment("main")      # None where nothing is set
alerting.look(facts)                            # as often as one likes; it never waits and never raises
alerting.close()
"""

from __future__ import annotations

import json
import os
import queue
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from windvane.infra.live.alerts import MINUTE, Alert, Facts, Limits, Watch
from windvane.infra.telemetry.logs import logger
from windvane.infra.telemetry.webhook import SECONDS, is_url, request
from windvane.metamodel.base.config import ConfigError

URL = "WINDVANE_ALERT_URL"
TEMPLATE = "WINDVANE_ALERT_TEMPLATE"
ALIVE = "WINDVANE_ALIVE_URL"
SLACK = '{"text": "{text}"}'
"""The form that is sent where no template is set."""
_MOST_WAITING = 100
_PAUSES = (1.0, 5.0, 25.0)
"""Seconds before another try."""


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """url: of the webhook, None: alerts are only logged. template: what is sent, with {text}, {book} and {cause}; JSON
    where it begins as an object or array does, else plain text. alive: URL that is fetched each minute while all is
    well. Both URLs are secrets, and are never shown.
    """

    url: str | None = None
    template: str = SLACK
    alive: str | None = None

    def __post_init__(self) -> None:
        for value, name in ((self.url, URL), (self.alive, ALIVE)):
            if value is not None and not is_url(value):
                raise ConfigError(f"{name} is no http or https URL: set it to one")
        if "{text}" not in self.template:
            raise ConfigError(f"{TEMPLATE} has no {{text}}: set it to a form such as {SLACK}")
        if self.is_json:
            try:
                json.loads(self.body("a", "b", "c"))
            except ValueError as error:
                raise ConfigError(
                    f"{TEMPLATE} begins as JSON and is none ({error}): check its quotes"
                ) from error

    @staticmethod
    def load(environ: Mapping[str, str] = os.environ) -> AlertSettings:
        """The settings of the environment; a URL may be in a file that NAME_FILE names. Raises ConfigError."""
        return AlertSettings(_secret(environ, URL), environ.get(TEMPLATE) or SLACK, _secret(environ, ALIVE))

    @property
    def is_json(self) -> bool:
        """Whether the template is JSON, so that texts in it are escaped."""
        return re.match(r'\s*(\{\s*"|\[\s*["{])', self.template) is not None

    def body(self, text: str, book: str, cause: str) -> bytes:
        """What is sent."""
        out = self.template
        for name, value in (("{cause}", cause), ("{book}", book), ("{text}", text)):
            out = out.replace(name, json.dumps(value, ensure_ascii=False)[1:-1] if self.is_json else value)
        return out.encode(errors="replace")

    def __repr__(self) -> str:
        shown = ["***" if value else "None" for value in (self.url, self.alive)]
        return f"AlertSettings(url={shown[0]}, template={self.template!r}, alive={shown[1]})"


class Alerting:
    """Looks at the facts of a book and tells people, off the thread that trades."""

    def __init__(
        self,
        book: str,
        settings: AlertSettings,
        limits: Limits | None = None,
        *,
        every: float = MINUTE,
        pauses: tuple[float, ...] = _PAUSES,
        seconds: float = SECONDS,
    ) -> None:
        """every: seconds between two signs of life. pauses: seconds before each further try. seconds: time-out."""
        self._book = book
        self._settings = settings
        self._watch = Watch(book, limits)
        self._every, self._pauses, self._seconds = every, pauses, seconds
        self._alive_at: float | None = None
        self._log = logger(stage="alert", book=book)
        self._queue: queue.Queue[Alert | None] = queue.Queue(_MOST_WAITING)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)
        self._thread.start()

    @staticmethod
    def of_environment(book: str, environ: Mapping[str, str] = os.environ) -> Alerting | None:
        """What the environment asks for, None where it sets neither URL; raises ConfigError for what cannot be."""
        settings = AlertSettings.load(environ)
        return Alerting(book, settings) if settings.url or settings.alive else None

    def look(self, facts: Facts) -> None:
        """Tell of what begins and of what is over, and give a sign of life where one is due and all is well."""
        for alert in self._watch.look(facts):
            (self._log.info if alert.over or alert.cause == "summary" else self._log.warning)(alert.text)
            if self._settings.url:
                self._put(alert)
        due = self._alive_at is None or facts.now >= self._alive_at
        if self._settings.alive and due and self._watch.healthy(facts):
            self._alive_at = facts.now + self._every
            self._put(_ALIVE)

    def close(self, seconds: float = 2.0) -> None:
        """Send what waits, for so many seconds at most, and end the thread."""
        self._put(None)
        self._thread.join(seconds)
        self._ending.set()
        self._thread.join(self._seconds)

    def _put(self, alert: Alert | None) -> None:
        try:
            self._queue.put_nowait(alert)
        except queue.Full:
            self._log.error("an alert is dropped: the webhook takes none", waiting=_MOST_WAITING)

    def _run(self) -> None:
        while (alert := self._queue.get()) is not None and not self._ending.is_set():
            if alert is _ALIVE:
                self._try(self._settings.alive or "", None, "sign of life", ())
                continue
            kind = "application/json" if self._settings.is_json else "text/plain; charset=utf-8"
            body = self._settings.body(alert.text, self._book, alert.cause)
            self._try(self._settings.url or "", body, alert.cause, self._pauses, kind)

    def _try(
        self, url: str, body: bytes | None, cause: str, pauses: tuple[float, ...], kind: str = ""
    ) -> None:
        """Send, again after each pause; a sign of life is not sent again, since the next one follows."""
        for pause in (*pauses, None):
            trouble = request(url, body, kind, self._seconds)
            if not trouble:
                return
            self._log.error("the webhook took no alert", cause=cause, error=trouble)
            if pause is not None and self._ending.wait(pause):
                return


_ALIVE = Alert("alive", False, "")


def _secret(environ: Mapping[str, str], name: str) -> str | None:
    """The value of a variable, or the content of the file that NAME_FILE names; raises ConfigError."""
    value, path = environ.get(name), environ.get(f"{name}_FILE")
    if value and path:
        raise ConfigError(f"{name} and {name}_FILE are both set: keep one")
    if path:
        try:
            value = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{name}_FILE is {path!r}: it cannot be read as text") from error
        if not value:
            raise ConfigError(f"{name}_FILE is {path!r}: the file is empty")
    return value or None
