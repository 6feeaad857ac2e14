"""Rest: questions to an exchange over HTTP, asked again where that may help, and never against its word."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import aiohttp

from windvane.infra.feeds.errors import FeedError

TRIES = 4
PAUSE = 0.5
"""Seconds before the second try, doubled with each."""
MOST_PATIENCE = 120.0
"""Seconds that an exchange may ask for before a question is given up: a ban of an address lasts minutes to days."""
_REFUSED = (418, 429)


class Rest:
    """GET alone: nothing here changes anything at an exchange, so asking again is safe."""

    def __init__(
        self, session: aiohttp.ClientSession, base: str, refused: Callable[[int, float], None]
    ) -> None:
        """base: scheme and host. refused: called with the status and the seconds for which to leave the exchange alone,
        so that no socket dials meanwhile.
        """
        self._session = session
        self._base = base
        self._refused = refused

    async def get(self, path: str, query: Mapping[str, str | int] | None = None) -> bytes:
        """Return the body of a good answer.

        Raises FeedError where the exchange refuses the question, cannot be reached in `TRIES` tries, or asks to be left
        alone for longer than `MOST_PATIENCE`.
        """
        trouble = ""
        for again in range(TRIES):
            pause = PAUSE * 2.0**again
            try:
                async with self._session.get(self._base + path, params=query) as answer:
                    body = await answer.read()
                    if answer.status == 200:
                        return body
                    trouble = f"answered {answer.status} ({body[:200].decode(errors='replace')})"
                    if answer.status in _REFUSED:
                        pause = retry_after(answer.headers, pause)
                        self._refused(answer.status, pause)
                        if pause > MOST_PATIENCE:
                            raise FeedError(f"{self._base} {trouble}: try again after {_at(pause)}")
                    elif answer.status < 500:
                        raise FeedError(f"{self._base}{path} {trouble}: check the symbol and --endpoint")
            except (aiohttp.ClientError, TimeoutError) as error:
                trouble = f"cannot be reached ({str(error) or type(error).__name__})"
            if again < TRIES - 1:
                await asyncio.sleep(pause)
        raise FeedError(f"{self._base} {trouble} {TRIES} times: check the network and --endpoint")


def retry_after(headers: Mapping[str, str], otherwise: float) -> float:
    """Seconds that an answer asks to wait; the header may also be missing or a date, which exchanges do not send."""
    text = headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else otherwise


def _at(seconds: float) -> str:
    until = datetime.now(UTC).timestamp() + seconds
    return f"{datetime.fromtimestamp(until, UTC):%Y-%m-%d %H:%M:%S} UTC"


def check_endpoint(endpoint: str) -> str:
    """Return an address without its last slash; raises FeedError where it is none of a host alone."""
    scheme, found, rest = endpoint.rstrip("/").partition("://")
    if scheme not in ("http", "https") or not found or not rest or "/" in rest or "?" in rest:
        raise FeedError(
            f"--endpoint is {endpoint!r}: give scheme, host and port alone, such as http://127.0.0.1:8080, "
            "since the paths are the exchange's"
        )
    return f"{scheme}://{rest}"


def websocket_of(endpoint: str) -> str:
    """The websocket address of the same host: ws for http, wss for https."""
    return "ws" + endpoint.removeprefix("http")
