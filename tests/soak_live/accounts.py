"""Whether every trade of a capture is in a row of a journal, once and in its order, or in a gap that was told."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from soak_live.processes import SoakError
from windvane.infra.exchange.capture import Capture
from windvane.infra.live.resuming import stopped
from windvane.infra.runs import journal
from windvane.streams.events import HEARTBEAT, DeadLetter, Ticks

_GAP = re.compile(r"trades (\d+) to (\d+) are missing")
_LOT = 1e-6
"""Base currency, the least step of a quantity."""


class Account(NamedTuple):
    """What became of the trades from `first` to `last`."""

    first: int
    last: int
    bars: int
    beats: int
    gaps: list[tuple[int, int]]
    rejected: int


def account(out: Path, said: str, whole: Capture) -> Account:
    """Give each bar the trades that follow those of the bar before it; raises SoakError where their sizes differ."""
    left = stopped(out / "journal")
    if left is None or left.mark.trade is None:
        raise SoakError("the session has no mark of a trade")
    sizes, beats, rejected = _rows(out)
    gaps = sorted({(int(a), int(b)) for a, b in _GAP.findall(said)})
    ids = whole.trades.id
    inside = np.isin(ids, rejected, invert=True) & (ids <= left.mark.trade)
    for first, last in gaps:
        inside &= (ids < first) | (ids > last)
    qty, ids = whole.trades.qty[inside], ids[inside]
    ends = np.concatenate([[0.0], qty.cumsum()])
    start = ends[-1] - sizes.sum()
    reached = start + np.concatenate([[0.0], sizes.cumsum()])
    nearest = np.abs(ends[np.searchsorted(ends, reached - _LOT / 2).clip(max=len(qty))] - reached)
    if nearest.max() > _LOT / 2:
        bar = int(nearest.argmax())
        raise SoakError(f"bar {bar} of {len(sizes)} is off by {nearest[bar]:g}: trades were lost or doubled")
    begin = int(np.abs(ends - start).argmin())
    return Account(int(ids[begin]), left.mark.trade, len(sizes), beats, gaps, len(rejected))


def _rows(out: Path) -> tuple[np.ndarray, int, list[int]]:
    """Sizes of all bars, the number of heartbeats, and the ids of trades that were rejected."""
    sizes, beats, rejected, seqs = [np.zeros(0)], 0, [], []
    for _, event in journal.read(out / "journal"):
        if isinstance(event, Ticks):
            bar = event.flags & HEARTBEAT == 0
            beats += int((~bar).sum())
            if event.size is not None:
                sizes.append(event.size[bar])
            seqs += event.seq.tolist()
        elif isinstance(event, DeadLetter) and event.source.startswith("trade "):
            rejected.append(int(event.source.split()[1]))
    if seqs != list(range(len(seqs))):
        raise SoakError("rows are not numbered without holes")
    return np.concatenate(sizes), beats, rejected
