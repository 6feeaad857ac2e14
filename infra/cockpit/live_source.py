"""LiveSource: the book of a live session as a cockpit's source; a press is obeyed by the row that it makes."""

import time
from collections.abc import Callable, Sequence

from windvane.infra.cockpit.greeting import greeting
from windvane.infra.cockpit.security import token_of
from windvane.infra.cockpit.server import Cockpit
from windvane.infra.cockpit.source import ACTIONS, Facts, Outcome, Press
from windvane.infra.cockpit.timeline import Timeline
from windvane.infra.live.session import Session
from windvane.streams.events import Control, Event


class LiveSource:
    """Made before the session, which hands `watch` every event; `session` is set before the page is served."""

    session: Session

    def __init__(self, book: str, say: Callable[[str], None] = lambda text: None) -> None:
        """say: is told once where the page cannot take in an event, and stands still from then on."""
        self.no_control = ""
        self._say = say
        self._still = ""  # why the page stands still
        self._timeline = Timeline(book)
        self._flattens = False  # whether the last order of a person closes the position

    def watch(self, event: Event) -> None:
        """Take in an event of the book; no mistake of the page ends a session."""
        if isinstance(event, Control) and event.action in ACTIONS:
            self._flattens = event.action == "flatten"
        if self._still:
            return
        try:
            self._timeline.add(event, time.time())
        except Exception as error:  # noqa: BLE001 - whatever it is, the book trades on
            self._still = f"the page stands still ({error!r}), and the book trades on: restart it to see more"
            self._say(self._still)

    @property
    def trouble(self) -> str:
        """As `Source` says."""
        if not self.session.opened:
            return "the book opens once the exchange has sent a price"
        stored = "" if self.session.stored else "the last state could not be stored: free space on the disk"
        return "; ".join(text for text in (self._still, stored) if text)

    def books(self) -> Sequence[str]:
        """As `Source` says."""
        return [self._timeline.book] if self.session.opened else []

    def timeline(self, book: str) -> Timeline:
        """As `Source` says."""
        if book not in self.books():
            raise KeyError(book)
        return self._timeline

    def facts(self, book: str) -> Facts:
        """As `Source` says."""
        told = self.session.state()
        open_still = self._flattens and told["position"] != 0.0
        return Facts(age_seconds=told["age_seconds"], flattening=open_still)

    async def control(self, press: Press) -> Outcome:
        """As `Source` says; the outcome is final, since a heartbeat row comes with the control."""
        done = self.session.control(press.action, press.by, press.reason, press.nonce)
        return Outcome(done.number, done.obeyed, done.row if done.obeyed else None, done.sentence, True)

    def outcome(self, press: Press, sent: Outcome) -> Outcome:
        """As `Source` says."""
        return sent


async def serving(
    session: Session,
    source: LiveSource | None,
    port: int,
    say: Callable[[str], None],
    stopping: Callable[[], bool],
) -> None:
    """Run a session, with the cockpit of a source beside it where there is one; `say` is told its address and token."""
    if source is None:
        await session.run(stopping)
        return
    source.session = session
    token, made = token_of()
    async with Cockpit(source, token, port=port) as cockpit:
        say(f"cockpit at {cockpit.url}")
        for line in greeting(cockpit, token if made else None):
            say(line)
        await session.run(stopping)
