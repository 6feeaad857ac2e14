"""Controls that people send to some of many books, some of them while the ensemble is away."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence

from chaos.cluster import ChaosError
from simulated_book import learner
from windvane.infra.kafka.broker.settings import KafkaSettings
from windvane.infra.kafka.tools.controls import ControlError, new_control, send_control
from windvane.streams.codec import from_json
from windvane.streams.control_log import payload_of
from windvane.streams.events import Batch, Control, DeadLetter, Decisions

_SWAP = ("swap", "roll-back")
_PLANS = (("halt", "resume"), ("reduce-only", "resume"), ("flatten", "resume"))
_EVERY = 20
"""Of so many books two are controlled: one in lockstep, and one that is timed."""

_AT_ONCE = 4


class Controls:
    """The controls of one run, in the order in which they are sent; sent: those of each book that were."""

    def __init__(self, settings: KafkaSettings, books: Sequence[str]) -> None:
        self._settings = settings
        self.sent: dict[str, list[Control]] = defaultdict(list)
        self._waiting = deque(_planned(books))

    def __len__(self) -> int:
        return len(self._waiting)

    def send(self, count: int) -> None:
        """Send the next `count` or those that are left, some at once; raises ChaosError where one cannot be sent."""
        due = [self._waiting.popleft() for _ in range(min(count, len(self._waiting)))]
        for first in range(0, len(due), _AT_ONCE):
            asyncio.run(self._send(due[first : first + _AT_ONCE]))

    async def _send(self, some: Iterable[tuple[str, str]]) -> None:
        try:
            sent = await asyncio.gather(
                *(
                    send_control(
                        self._settings, new_control(book, action), learner() if action == "swap" else b""
                    )
                    for book, action in some
                )
            )
        except ControlError as error:
            raise ChaosError(f"a control cannot be sent: {error}") from error
        for told in sent:
            self.sent[told.control.book].append(told.control)


def _planned(books: Sequence[str]) -> list[tuple[str, str]]:
    """Books and actions: the swaps first, what takes a control back after all others."""
    chosen = [book for k, book in enumerate(books) if k % _EVERY < 2]
    plans = [(book, _SWAP if k < 2 else _PLANS[k // 2 % len(_PLANS)]) for k, book in enumerate(chosen)]
    return [(book, plan[turn]) for turn in range(2) for book, plan in plans]


def unanswered(sent: Iterable[Control], decisions: Iterable[Batch], letters: Iterable[bytes]) -> str:
    """Name the first control of a book that no decision names and no dead letter tells of; "" where there is none."""
    obeyed = {int(n) for batch in decisions if isinstance(batch, Decisions) for n in batch.controls}
    refused = {e.payload for raw in letters if isinstance(e := from_json(raw), DeadLetter)}
    for control in sent:
        if control.number not in obeyed and payload_of(control) not in refused:
            return f"control {control.number} ({control.action}) is neither obeyed nor refused"
    return ""
