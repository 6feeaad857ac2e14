"""How long the records of a worker's partitions gather before they are read: not at all for few books, longer for many.

What a fetch, a step and a transaction cost hardly depends on the rows in them. Where many books share a worker,
some milliseconds of waiting at each stage make few large steps of many small ones, and the processor lasts for more
books. One book, however fast its rows come, gains nothing by it, so what counts is how many books have rows.
"""

import time
from collections.abc import Callable, Iterable

from aiokafka import AIOKafkaConsumer

from windvane.infra.kafka.broker.clients import Fetching, let_gather

_FEW = 128
"""So many books of a worker never wait for each other."""

_SECONDS_A_BOOK = 0.0004
_MOST_SECONDS = 0.08
_LOOK_SECONDS = 1.0
_LEAST_BYTES = 1 << 20
"""A fetch that has so much is answered at once, as while a stage catches up."""

_IDLE_MS = 1000
"""Where nothing comes, a fetch waits longer: the first record ends it, and without one it need not be asked again."""

_PATIENCE = 4
"""A stage that no row waits for lets records gather so many times as long."""


def wait_for(books: int) -> float:
    """Seconds for which records may gather, where so many books of the worker had some within the last second."""
    return min(_MOST_SECONDS, _SECONDS_A_BOOK * max(0, books - _FEW))


class Gathering:
    """Counts the books whose records a partition reads, and sets by it how long the reader's fetches wait.

    patient: whether no row waits for the stage; crowd: by partition of the worker, how many books had rows within the
    last second; clock: returns seconds, never fewer than before.
    """

    def __init__(
        self,
        reader: AIOKafkaConsumer,
        partition: int = 0,
        *,
        patient: bool,
        crowd: dict[int, int] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reader = reader
        self._partition = partition
        self._crowd = {} if crowd is None else crowd
        self._patient = patient
        self._clock = clock
        self._books: set[str] = set()
        self._since = clock()
        self._fetching = Fetching.usual(patient=patient)

    def note(self, books: Iterable[str], least_bytes: int = 1) -> None:
        """Take note of the books that a step had records of; called once in every turn of the partition's loop.

        least_bytes: of `Pairing`; the next fetch waits for so many at least.
        """
        self._books.update(books)
        now = self._clock()
        if now - self._since >= _LOOK_SECONDS:
            self._fetching = self._law()
            self._books.clear()
            self._since = now
        fetching = self._fetching
        if least_bytes > fetching.least_bytes:
            usual = Fetching.usual(patient=self._patient)
            fetching = Fetching(least_bytes, min(fetching.wait_ms, usual.wait_ms))
        let_gather(self._reader, fetching)

    def _law(self) -> Fetching:
        """How long the fetches of the next second wait."""
        self._crowd[self._partition] = len(self._books)
        usual, wait = Fetching.usual(patient=self._patient), round(1000 * wait_for(sum(self._crowd.values())))
        if not self._books:
            return Fetching(1, _IDLE_MS)
        if wait == 0:
            return usual
        return Fetching(_LEAST_BYTES, max(_PATIENCE * wait, usual.wait_ms) if self._patient else wait)
