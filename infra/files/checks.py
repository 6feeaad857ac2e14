"""Which rows of a table are sound, column by column."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from windvane.agents.base import Floats, Ints
from windvane.infra.files.errors import DeadLetters, InputError
from windvane.infra.files.formats import Format
from windvane.infra.files.tables import Table
from windvane.infra.files.timestamps import AFTER, BEFORE, FINE, NOT_A_TIME, parse_times
from windvane.infra.files.values import bought, identities, labels, numbers
from windvane.metamodel.base.config import SECOND
from windvane.metamodel.base.rows import MOST_SIZE

_PRICES = (
    "open",
    "high",
    "low",
    "close",
    "price",
    "bid",
    "ask",
    "bid_high",
    "bid_low",
    "ask_high",
    "ask_low",
)
_SIZES = ("size", "bid_size", "ask_size", "buy_size")
_FIELDS = 4
_GIVE_TIMES = "give UNIX seconds, ms, us or ns, or ISO 8601 text"


class Checks:
    """Reads the columns of one table; every row that is not sound gets the first reason against it.

    code: (n,) int64, positions in `reasons`, 0 for a sound row; timed: (n,) bool, whether the time can be read;
    notes: sentences about what was recognised.
    """

    def __init__(self, file: str, table: Table, layout: Format) -> None:
        self.file = file
        self.table = table
        self.layout = layout
        self.roles = layout.roles
        self.notes = [f"format: {layout.name}", *table.notes]
        self.reasons = [
            "",
            "time is not a time",
            "time before Bitcoin existed",
            "time after 2100",
            "too many or too few fields",  # at _FIELDS
        ]
        self.code = np.zeros(len(table), np.int64)
        self.timed = np.zeros(len(table), bool)

    def values(self) -> dict[str, Floats]:
        """All columns of numbers, checked, by the part that they play; (n,) each."""
        values = {
            role: column
            for role in (*_PRICES, *_SIZES)
            if role in self.roles and (column := self.numbers(role)) is not None
        }
        self.check_prices(values)
        for role in _SIZES:
            if role in values:
                sound = (values[role] >= 0) & (values[role] < np.inf)
                self.refuse(~sound, f"{role} is negative or not a number")
                self.refuse(values[role] > MOST_SIZE, f"{role} is above 1e18, more than any market has")
        self.sides(values)
        return values

    def refuse(self, rows: NDArray[np.bool_], reason: str) -> None:
        """Reject rows, (n,) bool, for a reason; a row that is rejected already keeps its first one."""
        if rows.any():
            if reason not in self.reasons:
                self.reasons.append(reason)
            self.code[rows & (self.code == 0)] = self.reasons.index(reason)

    def dead_letters(self, inside: NDArray[np.bool_]) -> DeadLetters:
        """The rejected rows, without those that lie outside the period asked for; inside: (n,) bool."""
        bad = np.flatnonzero((self.code != 0) & (inside | ~self.timed))
        broken = self.table.broken
        row = np.concatenate([self.table.number[bad], broken])
        code = np.concatenate([self.code[bad], np.full(len(broken), _FIELDS)])
        return DeadLetters(row, code, self.reasons)

    def column(self, role: str) -> Any:
        """The column that plays a part, as it was read."""
        import pyarrow as pa

        column = self.table.columns[self.roles[role]]
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        return column.cast(pa.large_string()) if pa.types.is_string_view(column.type) else column

    def called(self, role: str) -> str:
        """The column that plays a part, as a message names it."""
        names = self.table.names
        return names[self.roles[role]] if names else f"number {self.roles[role] + 1} ({role})"

    def numbers(self, role: str) -> Floats | None:
        """A column as numbers; None, with a note, where an optional one is empty. Raises InputError for no numbers."""
        column = self.column(role)
        values = numbers(column)
        if not np.isnan(values).all():
            return values
        if column.null_count == len(column) and role not in ("close", "price", "bid", "ask"):
            self.notes.append(f"column {self.called(role)} is empty: not used")
            return None
        raise InputError(
            f"column {self.called(role)} of {self.file} holds no numbers (first is {self.sample(role)}): "
            "check that the columns are in order"
        )

    def sample(self, role: str) -> str:
        """The first value of a column, for a message."""
        value = next((value for value in self.column(role) if value.is_valid), None)
        if value is None:
            return "None"
        try:
            return repr(value.as_py())[:40]
        except (ValueError, OverflowError):  # of a kind or a size that Python does not have
            return f"a {value.type}"[:40]

    def check_prices(self, values: dict[str, Floats]) -> None:
        """Reject rows whose prices are no prices, or contradict each other."""
        for role in _PRICES:
            if role in values:
                p = values[role]
                self.refuse(np.isnan(p), f"{role} is not a number")
                self.refuse(~((p > 0) & (p < np.inf)), f"{role} is not a positive number")
        for low, high in (("low", "high"), ("bid_low", "bid_high"), ("ask_low", "ask_high")):
            if low in values and high in values:
                self.refuse(values[high] < values[low], "high is below low")
        if "low" in values and "high" in values:
            for role in ("open", "close"):
                if role in values:
                    # Bars that were joined from others may be rounded, so a billionth is allowed.
                    p = values[role]
                    outside = (p * (1 - 1e-9) > values["high"]) | (p * (1 + 1e-9) < values["low"])
                    self.refuse(outside, f"{role} is outside low to high")
        if "bid" in values and "ask" in values:
            self.refuse(values["bid"] > values["ask"], "crossed book: bid above ask")

    def times(self) -> tuple[Ints, int]:
        """(n,) times, ns, as the file has them, and ns of a bar where it has both ends of each, else 0.

        Raises InputError where no time can be read.
        """
        role = "ts" if "ts" in self.roles else "close_ts"
        times = parse_times(self.column(role))
        self.timed = times.fault == FINE
        if (times.fault == NOT_A_TIME).all():
            raise InputError(
                f"column {self.called(role)} of {self.file} holds no times (first is {self.sample(role)}): "
                f"{_GIVE_TIMES}"
            )
        if not self.timed.any():
            raise InputError(
                f"no time in {self.file} lies between 2009-01-03, when Bitcoin began, and 2100 (first is "
                f"{self.sample(role)}): {_GIVE_TIMES}"
            )
        self.notes.append(times.note)
        for fault in (NOT_A_TIME, BEFORE, AFTER):
            self.refuse(times.fault == fault, self.reasons[fault])
        if self.layout.kind != "bars":
            return times.ts, 0
        # Closing times are often the last unit inside the bar: 59.999 for 60.
        if role == "close_ts":
            return np.where(times.ts % SECOND >= 999_000_000, -(-times.ts // SECOND) * SECOND, times.ts), 0
        if "close_ts" in self.roles:
            closes = parse_times(self.column("close_ts"))
            both = self.timed & (closes.fault == FINE)
            if both.any():
                span = int(np.median(closes.ts[both] - times.ts[both]))
                return times.ts, max(0, -(-span // SECOND) * SECOND)
        return times.ts, 0

    def sides(self, values: dict[str, Floats]) -> None:
        """Add the buy_size of trades, where the file says which side was the aggressor."""
        if not {"side", "maker"} & self.roles.keys() or "size" not in values or "buy_size" in values:
            return
        role = "maker" if "maker" in self.roles else "side"
        buys = bought(self.column(role), maker=role == "maker")
        if (buys == -1).all():
            self.notes.append(f"column {self.called(role)} holds neither buy nor sell: not used")
            return
        self.refuse(buys == -1, "side is neither buy nor sell")
        values["buy_size"] = np.where(buys == 1, values["size"], 0.0)
        self.notes.append(f"buy_size read from {self.called(role)}, the side of the aggressor")

    def regime(self) -> Ints | None:
        """(n,) regime labels, -1 where unknown; they serve scoring alone, so no row is rejected for one."""
        if "regime" not in self.roles:
            return None
        regime = labels(self.column("regime"))
        if (regime == -1).all():
            self.notes.append(f"column {self.called('regime')} holds no known regime: not used")
            return None
        return regime

    def ids(self) -> Ints | None:
        """(n,) trade ids; None where the file has none."""
        if "id" not in self.roles or self.layout.kind == "bars":
            return None
        ids = identities(self.column("id"))
        if ids is None:
            self.notes.append(f"column {self.called('id')} holds no whole numbers: not used")
            return None
        self.refuse(ids == np.iinfo(np.int64).min, "trade id is not a whole number")
        return ids
