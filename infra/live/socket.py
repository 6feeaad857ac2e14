"""The socket of a session, OUT/control.sock: who may write to it, which is the user that runs the session, may control.

A request is one line of JSON, and so is its answer:

    {"action":"halt","by":"ann","reason":"news","nonce":"7f3a"}
    {"number":1,"obeyed":true,"row":5120,"sentence":"control 1 of book live (halt) is in effect from row 5,120 ..."}

An answer without a number is {"error":"..."}: nothing was sent. {"action":"state"} is answered by the session's state.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from windvane.infra.live.controls import ControlError, Outcome

NAME = "control.sock"
_MOST_BYTES = 12_000_000
_LONGEST = 100
"""Bytes of a socket's path, of which systems take 104 to 108."""


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A control. weights: base64 of safetensors, of a swap; the rest as `Controls.carry_out`."""

    action: str
    by: str = ""
    reason: str = ""
    nonce: str = ""
    weights: str = ""
    agent: str = ""


Carry = Callable[[str, str, str, str, bytes, str], Outcome]


@asynccontextmanager
async def serving(out: Path, carry: Carry, state: Callable[[], dict[str, Any]]) -> AsyncIterator[None]:
    """Answer requests until the block ends. carry, state: `Session.control` and `Session.state`."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            try:
                line = await reader.readuntil(b"\n")
            except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                line = b""
            writer.write(msgspec.json.encode(_answer(line, carry, state)) + b"\n")
            await writer.drain()
        writer.close()

    with address_of(out) as address:
        Path(address).unlink(missing_ok=True)  # a session that was killed leaves it; the folder is ours alone
        before = os.umask(0o177)
        try:
            server = await asyncio.start_unix_server(answer, address, limit=_MOST_BYTES)
        finally:
            os.umask(before)
    try:
        yield
    finally:
        server.close()
        (out / NAME).unlink(missing_ok=True)


def _answer(line: bytes, carry: Carry, state: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        request = msgspec.json.decode(line, type=Request)
        if request.action == "state":
            return state()
        weights = base64.b64decode(request.weights, validate=True)
        return carry(
            request.action, request.by, request.reason, request.nonce, weights, request.agent
        )._asdict()
    except (msgspec.DecodeError, ValueError) as error:  # WindvaneError is a ValueError
        return {"error": str(error)}


@contextlib.contextmanager
def address_of(out: Path) -> Iterator[str]:
    """The path of the socket, short enough for the system: below an open folder where it is too long."""
    path = str(out / NAME)
    if len(os.fsencode(path)) <= _LONGEST:
        yield path
        return
    if not Path("/proc/self/fd").is_dir():
        raise ControlError(f"the path {path} is too long for a socket: choose a shorter --out")
    folder = os.open(out, os.O_RDONLY)
    try:
        yield f"/proc/self/fd/{folder}/{NAME}"
    finally:
        os.close(folder)
