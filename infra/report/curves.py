"""Curves for charts: a run of any length in a bounded number of points, collected in one pass.

Every point stands for a bucket of equally many rows. When all buckets are full, neighbours are merged and a bucket
is twice as wide, so there are always between `most` / 2 and `most` of them. Only charts use this; figures are
computed from every row.
"""

import numpy as np

from windvane.agents.base import Floats, Ints

MOST = 1024
"""Largest number of points of a curve."""


class Curves:
    """Columns of numbers in named groups, reduced to at most `most` points.

    how: for each group, which value of a bucket's rows is its point: "last", "max" or "mean". most: an even number.
    """

    def __init__(self, how: dict[str, str], most: int = MOST) -> None:
        if most < 2 or most % 2:
            raise ValueError(f"most is {most}: give an even number of 2 or more")
        self._how = {"ts": "last", **how}
        self._most = most
        self._kept: dict[str, Floats] = {}
        self.rows = 0
        self.width = 1

    def add(self, ts: Ints, **groups: Floats) -> None:
        """Add the next n rows.

        ts: (n,) UNIX ns; groups: (n,) or (n, C) for every name in `how`, where the first call fixes C.
        """
        n = len(ts)
        if n == 0:
            return
        milliseconds = ts.astype(np.float64) / 1e6
        while (self.rows + n - 1) // self.width >= self._most:
            self._double()
        low, high = self.rows // self.width, (self.rows + n - 1) // self.width
        starts = np.maximum(np.arange(low, high + 1) * self.width - self.rows, 0)
        ends = np.append(starts[1:], n) - 1
        for name, how in self._how.items():
            values = milliseconds if name == "ts" else groups[name]
            values = values.reshape(n, -1)
            if name not in self._kept:
                empty = -np.inf if how == "max" else 0.0
                self._kept[name] = np.full((self._most, values.shape[1]), empty)
            kept = self._kept[name][low : high + 1]
            if how == "last":
                kept[:] = values[ends]
            elif how == "max":
                np.maximum(kept, np.maximum.reduceat(values, starts, axis=0), out=kept)
            else:
                kept += np.add.reduceat(values, starts, axis=0)
        self.rows += n

    def _double(self) -> None:
        """Merge neighbouring buckets, which makes room for as many rows again."""
        used = -(-self.rows // self.width)
        half = self._most // 2
        for name, how in self._how.items():
            if name not in self._kept:
                continue
            old = self._kept[name]
            new = np.full_like(old, -np.inf if how == "max" else 0.0)
            if how == "last":
                merged = -(-used // 2)
                new[:merged] = old[np.minimum(2 * np.arange(merged) + 1, used - 1)]
            elif how == "max":
                new[:half] = np.maximum(old[0::2], old[1::2])
            else:
                new[:half] = old[0::2] + old[1::2]
            self._kept[name] = new
        self.width *= 2

    @property
    def points(self) -> int:
        """Number of points so far, which is the number of buckets in use."""
        return -(-self.rows // self.width)

    @property
    def milliseconds(self) -> Floats:
        """(points,) time of the last row of every bucket, UNIX milliseconds."""
        return self["ts"][:, 0]

    def __getitem__(self, name: str) -> Floats:
        """Return the points of one group, (points, C); (0, 1) before the first row."""
        used = self.points
        if used == 0:
            return np.zeros((0, 1))
        values = self._kept[name][:used]
        if self._how[name] != "mean":
            return values
        rows = np.full(used, self.width, np.float64)
        rows[-1] = self.rows - (used - 1) * self.width
        return values / rows[:, None]
