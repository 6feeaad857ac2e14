"""Whether two journals have the same results, to the last bit, however their rows are cut into records."""

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import numpy as np

from windvane.infra.runs import journal
from windvane.streams.events import Batch, Decisions, cut
from windvane.streams.topics import DECISIONS, FILLS, ORDERS, STATEMENTS, Topic

_BLOCK = 8192


def differences(first: Path, second: Path, *, whole: bool = True) -> str | None:
    """The first difference between the results in two journals, in words; None where there is none.

    whole: False where a crash cut the first journal off, perhaps between two records of one step; then its last step
    is left out of both.
    """
    upto = None if whole else _last_whole_step(first)
    for topic in (DECISIONS, ORDERS, FILLS, STATEMENTS):
        for a, b in zip_longest(_blocks(first, topic, upto), _blocks(second, topic, upto)):
            if a is None or b is None or len(a["seq"]) != len(b["seq"]):
                return f"{topic.name} have another number of rows"
            for name in a | b:
                same = name in a and name in b and a[name].tobytes() == b[name].tobytes()
                if not same:
                    return f"{topic.name}, column {name}, {_where(a, b, name)}"
    return None


def rows_unlike(first: Path, second: Path) -> tuple[int, int, int]:
    """How many rows of two journals are decided otherwise, how many both have, and the first that is, -1 for none."""
    unlike, rows, at = 0, 0, -1
    for a, b in zip(_blocks(first, DECISIONS, None), _blocks(second, DECISIONS, None), strict=False):
        n = min(len(a["seq"]), len(b["seq"]))
        others = np.zeros(n, bool)
        for name in ("weights", "target", "verdicts", "state", "position", "equity"):
            others |= (a[name][:n] != b[name][:n]).reshape(n, -1).any(axis=1)
        if at < 0 and others.any():
            at = int(a["seq"][int(others.argmax())])
        unlike, rows = unlike + int(others.sum()), rows + n
    return unlike, rows, at


def _where(a: dict[str, np.ndarray], b: dict[str, np.ndarray], name: str) -> str:
    """The first row in which a column of two blocks differs, in words."""
    if name not in a or name not in b or a[name].shape != b[name].shape:
        return "has another shape"
    rows = len(a["seq"])
    unlike = (a[name].view(np.int64) != b[name].view(np.int64)).reshape(rows, -1).any(axis=1)
    row = int(unlike.argmax())
    return f"first at seq {int(a['seq'][row])}: {a[name][row]} and {b[name][row]}"


def _last_whole_step(folder: Path) -> int:
    """Seq of the last row before the last step, -1 where there is none."""
    last = before = -1
    for _, event in journal.read(folder):
        if isinstance(event, Decisions):
            before, last = last, event.last
    return before


def _blocks(folder: Path, topic: Topic, upto: int | None) -> Iterator[dict[str, np.ndarray]]:
    """The columns of a topic up to row `upto`, in blocks of 8192 rows; the last block may be shorter."""
    pieces: list[Batch] = []
    count = 0
    for source, event in journal.read(folder):
        if source.name != topic.name or not isinstance(event, Batch):
            continue
        if upto is not None:
            event = cut(event, 0, int(np.searchsorted(event.seq, upto, side="right")))
        at = 0
        while at < len(event):
            piece = cut(event, at, min(len(event), at + _BLOCK - count))
            pieces.append(piece)
            at += len(piece)
            count += len(piece)
            if count == _BLOCK:
                yield _columns(pieces)
                pieces, count = [], 0
    if pieces:
        yield _columns(pieces)


def _columns(batches: list[Batch]) -> dict[str, np.ndarray]:
    """The columns of batches, joined."""
    head = batches[0]
    return {
        name: np.concatenate([getattr(batch, name) for batch in batches])
        for name in head.__struct_fields__
        if isinstance(getattr(head, name), np.ndarray)
    }
