"""How long the records of a partition gather before they are read: not at all for few books, longer for many.

What a fetch, a step and a transaction cost hardly depends on the rows in them. Where many books share a partition,
some milliseconds of waiting at each stage make few large steps of many small ones, and the processor lasts for more
books. One book, however fast its rows come, gains nothing by it, so what counts is how many books have rows.
"""

import time
from collections.abc import Callable, Iterable

from aiokafka import AIOKafkaConsumer

from windvane.infra.kafka.broker.clients import Fetching, let_gather

_FEW = 32
"""So many books of one partition never wait for each other."""

_SECONDS_A_BOOK = 0.00025
_MOST_SECONDS = 0.05
_LOOK_SECONDS = 1.0
_LEAST_BYTES = 1 << 20
"""A fetch that has so much is answered at once, as while a stage catches up."""

_PATIENCE = 4
"""A stage that no row waits for lets records gather so many times as long."""


def wait_for(books: int) -> float:
    """Seconds for which records may gather, where so many books of the partition had some within the last second."""
    return min(_MOST_SECONDS, _SECONDS_A_BOOK * max(0, books - _FEW))


class Gathering:
    """Counts the books whose records a partition reads, and sets by it how long the reader's fetches wait.

    patient: whether no row waits for the stage; clock: returns seconds, never fewer than before.
    """

    def __init__(
        self, reader: AIOKafkaConsumer, *, patient: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._reader = reader
        self._patient = patient
        self._clock = clock
        self._books: set[str] = set()
        self._since = clock()

    def note(self, books: Iterable[str]) -> None:
        """Take note of the books that a step had records of; called once in every turn of the partition's loop."""
        self._books.update(books)
        now = self._clock()
        if now - self._since >= _LOOK_SECONDS:
            wait = wait_for(len(self._books)) * (_PATIENCE if self._patient else 1)
            usual = Fetching.usual(patient=self._patient)
            gathered = Fetching(_LEAST_BYTES, round(1000 * wait))
            let_gather(self._reader, gathered if gathered.wait_ms > 0 else usual)
            self._books.clear()
            self._since = now
