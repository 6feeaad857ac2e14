"""The stored state of a worker: where it goes on, which program stored it, and the state of its stage."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from windvane.agents.program import FIRST, Program
from windvane.streams.codec import pack, unpack
from windvane.streams.events import Batch, DeadLetter, Event, LearnerUpdate, Proposals, Shadows
from windvane.streams.snapshot import Snapshot
from windvane.streams.stage import Progress, Stage
from windvane.streams.stopped import Stopped, from_heads


class Known(NamedTuple):
    """Which controls and models of a source a stored state has, or is done with.

    A worker that starts from a state reads on from before its end, since the records of books that are not open yet
    are in no state. Until it is there again, the books of that state know more than those that open meanwhile.
    """

    read: int  # every book of the state knows the records before this offset
    later: Mapping[str, int] = MappingProxyType({})  # by book, where it knows those before a later one


class Stored(NamedTuple):
    """The parts, by the names of `StageWorker`.

    layout: what all workers must agree on; positions, outputs: offsets by topic; received: for every source the offset
    before which records were received, and their dead letters published; letters: digests of dead letters that were
    published and not met again; known: of which records the state has the controls and models; stopped: books that are
    not worked on.
    """

    layout: str
    program: Program
    positions: Mapping[str, int]
    outputs: Mapping[str, int]
    received: Mapping[str, int]
    letters: Sequence[str]
    state: bytes  # of the stage; empty where it is stored apart
    known: Mapping[str, Known]
    stopped: Mapping[str, Stopped] = MappingProxyType({})

    def head(self) -> bytes:
        """What stands before the state of the stage."""
        head = pack(
            {
                "layout": self.layout,
                "program": list(self.program),
                "positions": dict(self.positions),
                "outputs": dict(self.outputs),
                "told": dict(self.received),
                "known": {source: [known.read, dict(known.later)] for source, known in self.known.items()},
                "letters": list(self.letters),
                "stopped": {book: stopped.head() for book, stopped in self.stopped.items()},
            }
        )
        return len(head).to_bytes(4, "little") + head

    def tail(self) -> list[bytes]:
        """What stands after the state of the stage: the states of stopped books."""
        return [stopped.state for stopped in self.stopped.values()]

    def to_bytes(self) -> bytes:
        """What a store keeps."""
        return b"".join([self.head(), self.state, *self.tail()])


class Saving:
    """A state that is being stored: what a worker was at one moment, and its stage's snapshot of that moment.

    The worker works on meanwhile; whoever stores the state copies some books at a time, and takes the parts then.
    """

    def __init__(self, head: Stored, snapshot: Snapshot) -> None:
        self._head, self._tail = (
            head.head(),
            head.tail(),
        )  # now: what they are made of changes with the next step
        self._snapshot = snapshot

    def copy_some(self, most: int) -> bool:
        """Copy so many books at most; returns whether every book is copied. Called between two steps."""
        return self._snapshot.copy_some(most)

    def parts(self) -> list[bytes]:
        """What a store keeps, in parts; to be called once, when all is copied, by any thread."""
        return [self._head, *self._snapshot.parts(), *self._tail]


def from_bytes(raw: bytes) -> Stored:
    """What `to_bytes` returned, in this release or an older one."""
    size = int.from_bytes(raw[:4], "little")
    head = unpack(raw[4 : 4 + size])
    positions, outputs, received = (
        {n: int(at) for n, at in head.get(key, {}).items()} for key in ("positions", "outputs", "told")
    )
    # Up to 0.2.0 a state was taken to know all that was received.
    known = head.get("known", {source: (offset, {}) for source, offset in received.items()})
    heads = head.get("stopped", {})  # up to 0.2.0 no book was stopped
    end = len(raw) - sum(kept[-1] for kept in heads.values())
    return Stored(
        *_written_by(head),
        positions,
        outputs,
        received,
        head.get("letters", ()),
        raw[4 + size : end],
        {source: Known(read, later) for source, (read, later) in known.items()},
        from_heads(heads, raw[end:]),
    )


def _written_by(head: Mapping[str, Any]) -> tuple[str, Program]:
    """Layout and program of a stored state; 0.1.0 had the digest of its code in the layout."""
    if "program" in head:
        return head["layout"], Program(*head["program"])
    layout, _, code = head["layout"].rpartition(", ")
    return layout, Program(FIRST, code)


def knows(stage: Stage, progress: Progress, event: Event) -> bool:
    """Whether an event on one of the stage's topics was published before the state was stored that says `progress`."""
    if isinstance(event, DeadLetter):
        return True  # it says nothing of a book's rows
    if (
        isinstance(event, Proposals | Shadows)
        and stage.agents is not None
        and not set(event.agents) <= set(stage.agents)
    ):
        return True  # of agents that run elsewhere
    if progress.state != "open":
        return progress.state == "closed"
    if isinstance(event, LearnerUpdate):
        return progress.next_seq > event.trained_at
    return progress.next_seq > (event.last if isinstance(event, Batch) else -1)
