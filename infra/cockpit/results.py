"""What a book has earned today, and with what it holds: from equities and fills, also where its history is cut."""

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.metamodel.base.times import DAY
from windvane.streams.events import Decisions


class Today:
    """The equity at which the present UTC day began."""

    def __init__(self) -> None:
        self.start: float | None = None  # currency, None before the first row
        self.whole = True  # whether it is the start of the day, not only of what is known of it
        self._day = -1
        self._equity = 0.0  # at the last row

    def add(self, rows: Decisions) -> None:
        """Take in the next rows."""
        days = (rows.ts - 1) // DAY
        new = np.flatnonzero(np.diff(days, prepend=self._day))
        if len(new):
            at = int(new[-1])
            if at or self._day >= 0:
                self.start, self.whole = float(rows.equity[at - 1]) if at else self._equity, True
            else:
                self.start, self.whole = float(rows.equity[0]), rows.first == 0  # which holds nothing yet
            self._day = int(days[-1])
        self._equity = float(rows.equity[-1])

    def end_of_day(self, day: int, equity: float) -> None:
        """Take in a statement; day: the one that ended, in days since 1970."""
        if day == self._day - 1 and not self.whole:
            self.start, self.whole = equity, True


class Holding:
    """What is held and its mean price of entry, in the order of fills."""

    def __init__(self) -> None:
        self.qty = 0.0  # base currency
        self.entry = 0.0  # quote currency, 0 where nothing is held
        self.known = True  # False: held since before the history began, so the price is that of its first row
        self._after = -1  # seq: fills of rows up to here are in it

    def begin(self, seq: int, qty: float, price: float) -> None:
        """Begin in the middle, with what was held after the row `seq`."""
        self.qty, self.entry, self.known, self._after = qty, price, not qty, seq

    def add(self, seq: Ints, qty: Floats, price: Floats) -> None:
        """Take in fills (n,), of which there are far fewer than rows; those before `begin` are passed over."""
        for at, amount, paid in zip(seq.tolist(), qty.tolist(), price.tolist(), strict=True):
            if at > self._after and amount:
                self._fill(amount, paid)

    def _fill(self, amount: float, price: float) -> None:
        after = self.qty + amount
        if abs(after) < 1e-12 * max(abs(self.qty), abs(amount)):
            self.qty, self.entry, self.known = 0.0, 0.0, True
        elif self.qty * amount >= 0.0:
            self.qty, self.entry = after, (self.entry * self.qty + price * amount) / after
        elif self.qty * after > 0.0:
            self.qty = after
        else:
            self.qty, self.entry, self.known = after, price, True

    def result(self, price: float) -> float:
        """What closing at a price would bring beside fees, currency."""
        return self.qty * (price - self.entry)
