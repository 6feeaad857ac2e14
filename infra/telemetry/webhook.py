"""One request to a webhook, which never raises: what is told elsewhere must not stop the work here."""

import urllib.parse
from http.client import HTTPConnection, HTTPException, HTTPSConnection

SECONDS = 5.0
"""Time-out of connecting, and of each wait for an answer."""


def is_url(text: str) -> bool:
    """Whether a text is an http or https URL with a host."""
    try:
        parts = urllib.parse.urlsplit(text.strip())
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def request(
    url: str, body: bytes | None, content_type: str = "application/json", seconds: float = SECONDS
) -> str:
    """POST a body, or GET where it is None; returns "" where the answer is 2xx, else why not, without the URL.

    url: checked by `is_url`; such URLs are secrets. The call blocks for some `seconds` at most.
    """
    parts = urllib.parse.urlsplit(url.strip())
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    path = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
    try:
        connection = kind(parts.hostname or "", parts.port, timeout=seconds)
        try:
            headers = {} if body is None else {"Content-Type": content_type}
            connection.request("GET" if body is None else "POST", path, body, headers)
            status = connection.getresponse().status
        finally:
            connection.close()
    except (OSError, HTTPException, ValueError) as error:
        return type(error).__name__
    return "" if 200 <= status < 300 else f"status {status}"
