"""A book that a stage does not work on, while it works on the others: what it needs to go on from later.

What concerns one book stops that book only. Its state stays as it was when the worker started, and so do the places in
the log that belong to it: from there its records are read again, once the cause is mended and the worker is started
again. Nothing of it is written or forgotten meanwhile.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

MOST_AGAIN = 500_000
"""Records of one source that are read again at most for the sake of a book that was stopped; with more it stays so."""


class Stopped(NamedTuple):
    """Why a book is stopped, and where and from what state it goes on."""

    why: str  # one sentence that says what to do
    positions: Mapping[str, int]  # by source: offset from which on its records are read again
    outputs: Mapping[str, int]  # by topic written: offset from which on its state knows nothing of it
    received: Mapping[str, int]  # by source: offset before which its records were received
    known: Mapping[str, int]  # by source: offset before which its state has its controls and models
    state: bytes  # a snapshot of the book alone, b"" where it had none

    def head(self) -> list[Any]:
        """All but the state, as a JSON value; the state's size in its place."""
        maps = (dict(self.positions), dict(self.outputs), dict(self.received), dict(self.known))
        return [self.why, *maps, len(self.state)]

    def too_far(self, positions: Mapping[str, int]) -> bool:
        """Whether more than MOST_AGAIN records of a source would have to be read again. positions: of the others."""
        return any(positions.get(name, at) - at > MOST_AGAIN for name, at in self.positions.items())


def from_heads(heads: Mapping[str, list[Any]], states: bytes) -> dict[str, Stopped]:
    """Stopped books by name, from what `head` returned of each and the bytes of their states one after the other."""
    stopped: dict[str, Stopped] = {}
    for book, (why, positions, outputs, received, known, size) in heads.items():
        stopped[book] = Stopped(why, positions, outputs, received, known, states[:size])
        states = states[size:]
    return stopped
