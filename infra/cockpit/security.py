"""Who may read and who may order: every request is judged here before anything else is done with it.

A page of another site can send requests to this machine from a browser. Host is checked, so that a name that was bound
to this address reads nothing; Origin and Sec-Fetch-Site, so that other pages order nothing; and the token, which no
browser sends by itself, stands before everything that changes anything. There are no cookies.
"""

import asyncio
import ipaddress
import os
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from aiohttp import web

from windvane.infra.cockpit.source import CockpitError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

TOKEN = "WINDVANE_TOKEN"  # noqa: S105  the name of a variable
"""The environment variable of the token; TOKEN_FILE names a file that holds it."""
TOKEN_FILE = f"{TOKEN}_FILE"

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Server": "windvane",
}
"""Sent with every answer."""

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

_LEAST = 16
_WRONG, _WRONG_SECONDS, _SLOW_SECONDS = 5, 60.0, 1.0


def token_of(environ: Mapping[str, str] | None = None) -> tuple[str, bool]:
    """The token from the environment, or a new one; and whether it was made here. Raises CockpitError."""
    environ = os.environ if environ is None else environ
    given, file = environ.get(TOKEN, ""), environ.get(TOKEN_FILE, "")
    if given and file:
        raise CockpitError(f"{TOKEN} and {TOKEN_FILE} are both set: keep one")
    if file:
        try:
            given = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise CockpitError(f"{TOKEN_FILE} is {file!r}: it cannot be read as text") from error
        if not given:
            raise CockpitError(f"{TOKEN_FILE} is {file!r}: the file is empty")
    if not given:
        return secrets.token_urlsafe(24), True
    if len(given) < _LEAST or not (given.isascii() and given.isprintable()) or " " in given:
        raise CockpitError(
            f"the token has fewer than {_LEAST} characters, or some that no header takes: make one with "
            "`openssl rand -hex 24`"
        )
    return given, False


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


class Guard:
    """Judges requests. host: what is listened on; port: set once it is known."""

    def __init__(self, token: str, host: str) -> None:
        self.port = 0
        self.free_to_read = is_loopback(host)  # else reading needs the token, too
        self._token = token.encode()
        self._host = f"[{host}]" if ":" in host else host
        self._wrong: deque[float] = deque(maxlen=_WRONG)  # when, monotonic s

    @web.middleware
    async def judge(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer what is refused, and pass on the rest."""
        refused = self._foreign(request) or await self._without_token(request)
        return refused if refused is not None else await handler(request)

    def knows(self, token: str) -> bool:
        """Whether this is the token, in the same time for every wrong one."""
        return secrets.compare_digest(token.encode(errors="replace"), self._token)

    async def refuse_token(self) -> web.Response:
        """The answer to a wrong token; after five in a minute it takes a second.

        The right one is never slowed: else anybody could keep people from halting.
        """
        now = time.monotonic()
        slow = len(self._wrong) == _WRONG and now - self._wrong[0] < _WRONG_SECONDS
        self._wrong.append(now)
        if slow:
            await asyncio.sleep(_SLOW_SECONDS)
            return _refusal(429, "too many wrong tokens: wait a minute", {"Retry-After": "60"})
        return _refusal(401, "the token is wrong or missing: it is printed where the cockpit was started")

    def _foreign(self, request: web.Request) -> web.Response | None:
        """The refusal of a request that comes through another name, or from a page of another site."""
        host = request.headers.get("Host", "")
        if not self._is_here(host):
            return _refusal(421, "this cockpit has no such name: open it by the address that it printed")
        origin = request.headers.get("Origin")
        if origin is not None and not (origin.startswith("http://") and self._is_here(origin[7:])):
            return _refusal(403, "a page of another origin may not do this")
        site = request.headers.get("Sec-Fetch-Site", "none")
        opened = request.path == "/" and request.headers.get("Sec-Fetch-Dest") == "document"
        if site not in ("same-origin", "none") and not (opened and request.method == "GET"):
            return _refusal(403, "a page of another site may not do this")
        if request.method == "POST" and request.content_type != "application/json":
            return _refusal(415, "send JSON, with Content-Type: application/json")
        return None

    def _is_here(self, address: str) -> bool:
        """Whether HOST:PORT is this server. Of a wider address every number is, since only names can be bound anew."""
        name, _, port = address.rpartition(":")
        if port != str(self.port):
            return False
        return name in LOOPBACK or (not self.free_to_read and (name == self._host or _is_number(name)))

    async def _without_token(self, request: web.Request) -> web.Response | None:
        if request.method in ("GET", "HEAD") and (self.free_to_read or not request.path.startswith("/api/")):
            return None  # the page holds nothing, and a socket sends the token as its first message
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        return None if kind == "Bearer" and self.knows(token) else await self.refuse_token()


def _is_number(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _refusal(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.json_response({"error": sentence}, status=status, headers=headers)
