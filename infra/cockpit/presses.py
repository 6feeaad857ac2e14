"""Presses: each is one control, however often it is sent, and is answered with what has become of it so far."""

import asyncio
import secrets
import time
from collections import OrderedDict

from windvane.infra.cockpit.source import CockpitError, Outcome, Press, Source

WAIT_SECONDS = 2.0
"""A press is answered after so long at the latest; whoever wants to know more sends it again with its nonce."""

_MOST = 1_000
_LOOK_SECONDS = 0.01


class Presses:
    """The presses of one source, by their nonces, the newest of them."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._sent: OrderedDict[str, tuple[Press, asyncio.Task[Outcome]]] = OrderedDict()

    async def outcome(self, press: Press, wait: float = WAIT_SECONDS) -> Outcome | None:
        """What has become of a press, after `wait` seconds at most; None: it is not even written yet.

        A press that could not be sent is sent anew, since two halts do no harm and none does; but for a resume, as
        somebody may have halted since. Raises CockpitError where its nonce is that of another press, and what the
        source raises for one that it cannot send.
        """
        nonce = press.nonce or secrets.token_hex(16)
        known, sending = self._sent.get(nonce) or (press, self._send(press))
        if known != press:
            raise CockpitError("this nonce belongs to another press: give each press one of its own")
        if press.action != "resume" and _failed(sending):
            sending = self._send(press)
        self._sent[nonce] = known, sending
        while len(self._sent) > _MOST:
            self._sent.popitem(last=False)
        until = time.monotonic() + wait
        done, _ = await asyncio.wait([sending], timeout=wait)
        if not done:
            return None
        sent = sending.result()
        told = sent
        while not told.final and not (told := self._source.outcome(press, sent)).final:
            if time.monotonic() > until:
                break
            await asyncio.sleep(_LOOK_SECONDS)
        return told

    def _send(self, press: Press) -> asyncio.Task[Outcome]:
        sending = asyncio.create_task(self._source.control(press))
        sending.add_done_callback(_read)
        return sending


def _failed(sending: asyncio.Task[Outcome]) -> bool:
    return sending.done() and (sending.cancelled() or sending.exception() is not None)


def _read(sending: asyncio.Task[Outcome]) -> None:
    """Read how a press ended, since the browser that waited for it may be gone."""
    if not sending.cancelled():
        sending.exception()
