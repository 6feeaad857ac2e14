"""Sends alerts to a webhook, as one JSON object by POST, which is the form that chat services accept."""

import json
import os
from pathlib import Path
from typing import Any

from windvane.infra.telemetry.logs import logger
from windvane.infra.telemetry.webhook import is_url, request
from windvane.metamodel.base.config import ConfigError

WEBHOOK = "WINDVANE_ALERT_WEBHOOK"
WEBHOOK_FILE = "WINDVANE_ALERT_WEBHOOK_FILE"
SECONDS = 5.0


def send_alert(message: str, *, webhook: str | None = None, **fields: Any) -> bool:
    """Log an alert, send it to a webhook, and return whether the webhook accepted it (HTTP 2xx).

    webhook: an http or https URL; None takes that of the variable WINDVANE_ALERT_WEBHOOK, or the one in the file that
    WINDVANE_ALERT_WEBHOOK_FILE names; without any the alert is only logged. Such URLs are secrets and are never logged.
    fields: further entries of the JSON object. The call blocks for seconds at most, and a webhook that is unreachable
    or refuses raises nothing. Raises ConfigError where the webhook is not an http or https URL.
    """
    log = logger(stage="alert")
    log.warning(message, **fields)
    url = webhook or os.environ.get(WEBHOOK) or _from_file()
    if not url:
        return False
    if not is_url(url):
        raise ConfigError(f"the webhook is no http or https URL: set {WEBHOOK} to one")
    body = json.dumps({"text": message, "source": "windvane", **fields}, default=str).encode()
    trouble = request(url, body, seconds=SECONDS)
    if trouble:
        log.error("the webhook took no alert", error=trouble)
    return not trouble


def _from_file() -> str | None:
    """The URL in the file that WINDVANE_ALERT_WEBHOOK_FILE names, None where that is not set."""
    name = os.environ.get(WEBHOOK_FILE)
    return Path(name).read_text(encoding="utf-8").strip() if name else None
