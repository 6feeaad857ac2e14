"""Alerts to a webhook: one JSON object by POST, as chat services take it."""

import json
import os
import urllib.parse
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any

from windvane.infra.telemetry.logs import logger
from windvane.metamodel.base.config import ConfigError

WEBHOOK = "WINDVANE_ALERT_WEBHOOK"
WEBHOOK_FILE = "WINDVANE_ALERT_WEBHOOK_FILE"
SECONDS = 5.0


def send_alert(message: str, *, webhook: str | None = None, **fields: Any) -> bool:
    """Send an alert and log it; gives whether somebody took it. A webhook that is away never stops who calls.

    webhook: http(s) URL, else that of WINDVANE_ALERT_WEBHOOK, or in the file that WINDVANE_ALERT_WEBHOOK_FILE names;
    without one the alert is only logged. Such URLs are secrets, and are not logged. fields: more to tell, as JSON.
    Raises ConfigError where the URL is none.
    """
    log = logger(stage="alert")
    log.warning(message, **fields)
    url = webhook or os.environ.get(WEBHOOK) or _from_file()
    if not url:
        return False
    parts = urllib.parse.urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"the webhook is no http or https URL: set {WEBHOOK} to one")
    body = json.dumps({"text": message, "source": "windvane", **fields}, default=str).encode()
    try:
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        connection = kind(parts.hostname, parts.port, timeout=SECONDS)
        try:
            path = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            status = connection.getresponse().status
        finally:
            connection.close()
    except (OSError, HTTPException, ValueError) as error:
        log.error("the webhook took no alert", error=type(error).__name__)
        return False
    if not 200 <= status < 300:
        log.error("the webhook took no alert", status=status)
        return False
    return True


def _from_file() -> str | None:
    name = os.environ.get(WEBHOOK_FILE)
    return Path(name).read_text(encoding="utf-8").strip() if name else None
