"""Rows of a timeline as columns for JSON, in whole or what is new since."""

from typing import Any

import numpy as np

from windvane.infra.cockpit.timeline import COLUMNS, MARK_COLUMNS, Timeline

AT_ONCE = 1_440
"""Rows that are shown at once: a day of minutes."""

_MATRICES = ("members", "regime")


def history(
    timeline: Timeline,
    since: int = -1,
    most: int = AT_ONCE,
    *,
    before: int | None = None,
    marks: int | None = None,
) -> dict[str, Any]:
    """The newest rows after seq `since`, at most `most`, as arrays; a matrix is a list of its columns.

    before: only rows with a lower seq, for what is older. marks: orders and fills after so many of them; None: those of
    the rows. Times are UNIX ms; NaN is what nobody told.
    """
    ring = timeline.ring
    seq = ring["seq"]
    stop = len(seq) if before is None else int(np.searchsorted(seq, before))
    start = min(stop, max(int(np.searchsorted(seq, since, side="right")), stop - most, 0))
    rows: dict[str, Any] = {name: ring[name][start:stop] for name in COLUMNS}
    rows |= {name: _by_column(rows[name]) for name in _MATRICES}
    rows["ts"] = rows["ts"] // 1_000_000
    rows["weights"] = _by_column(ring["weights"][start:stop])
    rows["targets"] = _by_column(_targets(timeline, rows["seq"]))
    return {
        "book": timeline.book,
        "agents": timeline.agents,
        "rows": rows,
        "marks": _marks(timeline, rows["seq"], marks),
        "more": start > 0,
    }


def _targets(timeline: Timeline, seq: Any) -> Any:
    """What agents wanted at consecutive rows (n, A), NaN where nobody told."""
    wanted, found = timeline.wanted, np.full((len(seq), len(timeline.agents)), np.nan, np.float32)
    if len(seq) and len(wanted):
        first, begin = int(wanted["seq"][0]), int(seq[0])
        low, high = max(begin, first), min(int(seq[-1]), int(wanted["seq"][-1])) + 1
        if low < high:
            found[low - begin : high - begin] = wanted["targets"][low - first : high - first]
    return found


def _marks(timeline: Timeline, seq: Any, after: int | None) -> dict[str, Any]:
    """Orders and fills, those after the first `after`, or those of the rows."""
    ring = timeline.marks
    if after is not None:
        new = max(0, min(ring.total - after, len(ring)))
        chosen = np.arange(len(ring)) >= len(ring) - new
    elif len(seq):
        chosen = (ring["seq"] >= seq[0]) & (ring["seq"] <= seq[-1])
    else:
        chosen = np.zeros(len(ring), bool)
    told = {name: ring[name][chosen] for name in MARK_COLUMNS}
    return told | {"ts": told["ts"] // 1_000_000}


def _by_column(matrix: Any) -> list[Any]:
    """The columns of a matrix (n, k), each one array."""
    return [np.ascontiguousarray(column) for column in matrix.T]
