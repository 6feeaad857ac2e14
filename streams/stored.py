"""The stored state of a worker: where it goes on, which program stored it, and the state of its stage."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from windvane.agents.program import FIRST, Program
from windvane.streams.codec import pack, unpack
from windvane.streams.events import DeadLetter, Event
from windvane.streams.stage import Logic, StateError
from windvane.streams.topics import Topic


class Stored(NamedTuple):
    """The parts, by the names of `StageWorker`.

    layout: what all workers must agree on; positions, outputs: offsets by topic; told: for every source the offset
    before which dead letters were told; letters: digests of those that were published and not met again.
    """

    layout: str
    program: Program
    positions: Mapping[str, int]
    outputs: Mapping[str, int]
    told: Mapping[str, int]
    letters: Sequence[str]
    state: bytes

    def to_bytes(self) -> bytes:
        """What a store keeps."""
        head = pack(
            {
                "layout": self.layout,
                "program": list(self.program),
                "positions": dict(self.positions),
                "outputs": dict(self.outputs),
                "told": dict(self.told),
                "letters": list(self.letters),
            }
        )
        return len(head).to_bytes(4, "little") + head + self.state


def from_bytes(raw: bytes) -> Stored:
    """What `to_bytes` gave, in this release or an older one."""
    size = int.from_bytes(raw[:4], "little")
    head = unpack(raw[4 : 4 + size])
    positions, outputs, told = (
        {n: int(at) for n, at in head.get(key, {}).items()} for key in ("positions", "outputs", "told")
    )
    return Stored(*_written_by(head), positions, outputs, told, head.get("letters", ()), raw[4 + size :])


def _written_by(head: Mapping[str, Any]) -> tuple[str, Program]:
    """Layout and program of a stored state; 0.1.0 had the digest of its code in the layout."""
    if "program" in head:
        return head["layout"], Program(*head["program"])
    layout, _, code = head["layout"].rpartition(", ")
    return layout, Program(FIRST, code)


def refuse_unclean(logic: Logic, topic: Topic, event: Event, before: Program, now: Program) -> None:
    """An event that lies on a topic of the stage, whose state another program stored.

    Raises StateError where the state does not know of it: that program was killed after it had published it, and what
    one program computed is not to be computed again by another.
    """
    if not isinstance(event, DeadLetter) and not logic.knows(event):
        raise StateError(
            f"{before} was not stopped cleanly, topic {topic.name} holds more of book {event.book} than its stored "
            f"state knows: run that version until it has caught up, stop it by SIGTERM, and then start {now}"
        )
