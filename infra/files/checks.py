"""Decides which rows of a table are sound, column by column."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from windvane.agents.base import Floats, Ints
from windvane.infra.files.errors import EMPTY, DeadLetters, InputError
from windvane.infra.files.layouts import Format
from windvane.infra.files.reading import Reading
from windvane.infra.files.sides import bought_size, refuse_book, signed
from windvane.infra.files.tables import Table
from windvane.infra.files.timestamps import (
    AFTER,
    BEFORE,
    FINE,
    NOT_A_TIME,
    Times,
    add_clock,
    parse_times,
    plain_column,
)
from windvane.infra.files.values import (
    Comma,
    comma_of,
    identities,
    labels,
    missing,
    numbers,
)
from windvane.metamodel.base.rows import MOST_SIZE

_PRICES = ("close", "price", "bid", "ask")
"""Parts that are used as prices: what is wrong there costs the row."""
_SIZES = ("size", "bid_size", "ask_size", "buy_size")
_FIELDS = 4
_SLACK = 1e-6
"""Share of a price that its bar may be off by: high and low in single precision differ by 6e-8 from the close."""
_GIVE_TIMES = "give UNIX seconds, ms, us or ns, or ISO 8601 text"


class Checks:
    """Reads the columns of one table; every row that is not sound gets the first reason against it.

    code: (n,) int64, positions in `reasons`, 0 for a sound row; timed: (n,) bool, whether the time can be read;
    notes: sentences about what was recognised.
    """

    def __init__(self, file: str, table: Table, layout: Format, reading: Reading) -> None:
        self.file = file
        self.table = table
        self.layout = layout
        self.reading = reading
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
        self.commas = self._commas()

    def values(self) -> dict[str, Floats]:
        """The columns of numbers that are used, checked, by the part that they play; (n,) each."""
        parts = [role for role in (*_PRICES, *_SIZES) if role in self.roles]
        values = {role: column for role in parts if (column := self.numbers(role)) is not None}
        if self.layout.kind == "bars" and "size" in values and not values["size"].any():
            self.notes.append(f"column {self.called('size')} is 0 in every row: not used")
            del values["size"]
        if self.layout.kind != "bars" and "size" in values:
            self.sides(values)
        for role in _SIZES:
            if role in values:
                self.check_sizes(role, values)
        self.check_prices(values)
        return values

    def sides(self, values: dict[str, Floats]) -> None:
        """buy_size of trades from who was the aggressor; a side that is not known costs no row."""
        size, sold = values["size"], None
        role = "maker" if "maker" in self.roles else "side"
        if signed(size):
            sold, values["size"] = size < 0, np.abs(size)
        if "buy_size" in values:
            return
        if role not in self.roles:
            if sold is not None:
                values["buy_size"] = np.where(sold, 0.0, values["size"])
                self.notes.append("negative sizes are sales: buy_size read from the sign of the size")
            return
        column, name, codes = self.column(role), self.called(role), self.reading.side_codes
        if role == "side" and not self.layout.named and "price" in values:
            refuse_book(self.file, column, values["price"], size)
        if self.layout.side == "unsure" and codes is None:
            self.notes.append(
                f"column {name} may be the side of the maker or of the taker: not used; if of the taker, give "
                "--side-codes buy=buy,sell=sell, and if of the maker, --side-codes buy=sell,sell=buy"
            )
            return
        bought = bought_size(column, values["size"], name, role == "maker", codes, self.notes)
        if bought is not None:
            values["buy_size"] = bought

    def refuse(self, rows: NDArray[np.bool_], reason: str) -> None:
        """Reject rows, (n,) bool, for a reason; a row that is rejected already keeps its first one."""
        if rows.any():
            if reason not in self.reasons:
                self.reasons.append(reason)
            self.code[rows & (self.code == 0)] = self.reasons.index(reason)

    def refuse_at(self, rows: Ints, reason: str) -> None:
        """Reject the rows at these positions."""
        if len(rows):
            mask = np.zeros(len(self.table), bool)
            mask[rows] = True
            self.refuse(mask, reason)

    def dead_letters(self, inside: NDArray[np.bool_]) -> DeadLetters:
        """The rejected rows, without those that lie outside the period asked for; inside: (n,) bool."""
        bad = np.flatnonzero((self.code != 0) & (inside | ~self.timed))
        broken = self.table.broken
        row = np.concatenate([self.table.number[bad], broken])
        code = np.concatenate([self.code[bad], np.full(len(broken), _FIELDS)])
        return DeadLetters(row, code, self.reasons)

    def column(self, role: str) -> Any:
        """Return the column that has a role, as it was read."""
        return plain_column(self.table.columns[self.roles[role]])

    def called(self, role: str) -> str:
        """The column that plays a part, as a message names it."""
        names = self.table.names
        return names[self.roles[role]] if names else f"number {self.roles[role] + 1} ({role})"

    def numbers(self, role: str) -> Floats | None:
        """A column as numbers; None, with a note, where an optional one is empty. Raises InputError for no numbers."""
        column = self.column(role)
        values = numbers(column, self.commas.get(role))
        if not np.isnan(values).all():
            return values
        needed = (
            ("close", "bid", "ask")
            if {"bid", "ask"} <= self.roles.keys()
            else ("close", "price", "bid", "ask")
        )
        if column.null_count == len(column) and role not in needed:
            self.notes.append(f"column {self.called(role)} is empty: not used")
            return None
        raise InputError(
            f"column {self.called(role)} of {self.file} holds no numbers (first is {self.sample(role)}): "
            "check that the columns are in order"
        )

    def sample(self, role: str) -> str:
        """Return the first value of the column of a role, for an error message."""
        value = next((value for value in self.column(role) if value.is_valid), None)
        if value is None:
            return "None"
        try:
            return repr(value.as_py())[:40]
        except (ValueError, OverflowError):  # of a kind or a size that Python does not have
            return f"a {value.type}"[:40]

    def _commas(self) -> dict[str, Comma]:
        """What commas part in the numbers of each part; InputError where they may be either."""
        parts = [role for role in (*_PRICES, *_SIZES, "high", "low") if role in self.roles]
        kinds = {role: kind for role in parts if (kind := comma_of(self.column(role))) is not None}
        if self.reading.decimal is not None:
            return dict.fromkeys(parts, "decimal" if self.reading.decimal == "," else "thousands")
        sure = set(kinds.values()) - {"unsure"}
        if not kinds:
            return {}
        if len(sure) != 1:
            role = next(iter(kinds))
            raise InputError(
                f"column {self.called(role)} of {self.file} holds numbers such as {self.sample(role)}, whose comma may "
                "part thousands or decimals: say which with --decimal . or --decimal ,"
            )
        kind = sure.pop()
        self.notes.append(f"commas in numbers part {kind}" + (" from the whole" if kind == "decimal" else ""))
        return dict.fromkeys(parts if kind == "decimal" else kinds, kind)

    def check_sizes(self, role: str, values: dict[str, Floats]) -> None:
        """A size that cannot be used costs no row: it counts as none."""
        size = values[role]
        bad = ~((size >= 0) & (size <= MOST_SIZE))
        number = int(np.count_nonzero(bad))
        if not number:
            return
        values[role] = np.where(bad, 0.0, size)
        empty = self.empty(values)
        if number := int(np.count_nonzero(bad & ~empty)):
            self.notes.append(f"{number} rows have no {role} that can be used: taken as 0 there")

    def empty(self, values: dict[str, Floats]) -> NDArray[np.bool_]:
        """(n,) which bars hold nothing: every price is missing or 0, and nothing was traded."""
        empty = np.zeros(len(self.table), bool)
        if self.layout.kind != "bars":
            return empty
        empty[:] = True
        if "size" in values:
            empty &= values["size"] == 0  # what cannot be used counts as 0 already
        for role in ("open", "high", "low", *_PRICES):
            if role in self.roles and empty.any():
                column = self.column(role)
                empty &= missing(column) | (numbers(column, self.commas.get(role)) == 0)
        return empty

    def check_prices(self, values: dict[str, Floats]) -> None:
        """Reject rows whose prices are no prices, or contradict each other."""
        prices = [role for role in _PRICES if role in values]
        bad = np.zeros(len(self.table), bool)
        for role in prices:
            bad |= ~((values[role] > 0) & (values[role] < np.inf))
        if bad.any():
            self.refuse(bad & self.empty(values), EMPTY)
            for role in prices:
                self.refuse(np.isnan(values[role]), f"{role} is not a number")
                self.refuse(
                    ~((values[role] > 0) & (values[role] < np.inf)), f"{role} is not a positive number"
                )
        if "close" in values and {"low", "high"} <= self.roles.keys():
            low, high = (numbers(self.column(role), self.commas.get(role)) for role in ("low", "high"))
            p = values["close"]
            outside = (p * (1 - _SLACK) > np.maximum(low, high)) | (p * (1 + _SLACK) < np.minimum(low, high))
            self.refuse(outside, "close is outside low to high")
        if "bid" in values and "ask" in values:
            self.refuse(values["bid"] > values["ask"], "crossed book: bid above ask")

    def times(self) -> tuple[Ints, Ints | None]:
        """(n,) times, ns, as the file has them, and (n,) the ends of bars where it has both ends of each.

        Raises InputError where no time can be read.
        """
        role = "ts" if "ts" in self.roles else "close_ts"
        times = parse_times(self.column(role))
        if "clock" in self.roles:
            times = add_clock(times, self.column("clock"))
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
        if self.layout.kind == "bars" and {"ts", "close_ts"} <= self.roles.keys():
            closes: Times = parse_times(self.column("close_ts"))
            if (self.timed & (closes.fault == FINE)).any():
                return times.ts, np.where(closes.fault == FINE, closes.ts, 0)
        return times.ts, None

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
        return ids
