"""Dates and times of a day as vendors write them where it is not ISO 8601."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from windvane.agents.base import Floats, Ints

_MOST_OF = 0.9
_DIGITS = ((8, "date"), (12, "minutes"), (14, "seconds"), (17, "milliseconds"))
"""Lengths of dates in digits, and the finest part that they have."""


def of_digits(values: Ints | Floats) -> tuple[Ints, Ints]:
    """Numbers that are dates, such as 20240301 or 20240301093000: their positions, and ns; (d,) each."""
    n = len(values)
    moments, sound = np.zeros(n, np.int64), np.zeros(n, bool)
    for length, finest in _DIGITS:
        unit = 10 ** (length - 4)
        mine = np.flatnonzero((values >= 2009 * unit) & (values < 2100 * unit))
        whole = values[mine].astype(np.int64)
        mine, whole = mine[whole == values[mine]], whole[whole == values[mine]]
        part = np.zeros(len(whole), np.int64)
        if finest == "milliseconds":
            whole, part = whole // 1000, whole % 1000
        number = whole * {"date": 1_000_000, "minutes": 100}.get(finest, 1)
        date, clock = number // 1_000_000, number % 1_000_000
        day, exists = days(date // 10_000, date // 100 % 100, date % 100)
        seconds, right = clock_seconds(clock)
        at = mine[exists & right]
        moments[at] = ((day * 86_400 + seconds) * 1_000_000_000 + part * 1_000_000)[exists & right]
        sound[at] = True
    return np.flatnonzero(sound), moments[sound]


def days(year: Ints, month: Ints, day: Ints) -> tuple[Ints, NDArray[np.bool_]]:
    """Days since 1970 of dates, and which of them exist."""
    sound = (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)
    months = np.where(sound, (year - 1970) * 12 + month - 1, 0).astype("datetime64[M]")
    first = months.astype("datetime64[D]").astype(np.int64)
    length = (months + 1).astype("datetime64[D]").astype(np.int64) - first
    return first + day - 1, sound & (day <= length)


def clock_seconds(clock: Ints) -> tuple[Ints, NDArray[np.bool_]]:
    """Seconds since midnight of numbers such as 93000, and which of them are times of a day."""
    hour, minute, second = clock // 10_000, clock // 100 % 100, clock % 100
    sound = (clock >= 0) & (hour < 24) & (minute < 60) & (second < 60)
    return hour * 3_600 + minute * 60 + second, sound


_YEAR_FIRST = r"^\s*(\d{4})[./-](\d{1,2})[./-](\d{1,2})"
_YEAR_LAST = r"^\s*(\d{1,2})[./-](\d{1,2})[./-](\d{4})"
_MONTH_NAMED = r"^\s*([A-Za-z]{3})[a-z]*\.? (\d{1,2}),? (\d{4})"
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def as_iso(text: Any) -> tuple[Any, str]:
    """Dates that vendors write otherwise, as ISO 8601, and the order that they have; no order where it is in doubt.

    A day and a month that are parted by dots have the day first; by slashes, one of them must be above 12 somewhere.
    """
    import pandas as pd

    text = text.str.strip().str.replace(r"\s*(?:UTC|GMT|Z)(?=$|[+-]\d)", "+00:00", regex=True)
    text = text.str.replace(r"\+00:00([+-]\d\d):?(\d\d)$", r"\1:\2", regex=True)
    for pattern, order in ((_YEAR_FIRST, "YMD"), (_YEAR_LAST, ""), (_MONTH_NAMED, "named")):
        parts = text.str.extract(pattern)
        if parts[0].notna().mean() < _MOST_OF:
            continue
        first, second = (pd.to_numeric(parts[k], errors="coerce") for k in (0, 1))
        if order == "YMD":
            year, month, day, name = parts[0], parts[1], parts[2], "year, month, day"
        elif order == "named":
            month = parts[0].str.lower().map({word: str(k + 1) for k, word in enumerate(_MONTHS)})
            year, day, name = parts[2], parts[1], "month by name, day, year"
        elif text.str.contains(r"^\d{1,2}\.", regex=True).mean() > 0.5 or (first.max() > 12 >= second.max()):
            year, month, day, name = parts[2], parts[1], parts[0], "day, month, year"
        elif second.max() > 12 >= first.max():
            year, month, day, name = parts[2], parts[0], parts[1], "month, day, year"
        else:
            return text, ""
        rest = text.str.replace(pattern, "", regex=True).str.strip()
        rest = _hours(rest)
        return year + "-" + month.str.zfill(2) + "-" + day.str.zfill(2) + rest, name
    return text, ""


def _hours(rest: Any) -> Any:
    """What follows a date, as ISO 8601 has it: T09:30:00 of 9:30 or 09:30 AM or 09-AM."""
    parts = rest.str.extract(r"^[T, ]*(\d{1,2})(:\d\d(?::\d\d(?:\.\d+)?)?)?(?:[ -]?([AaPp])[Mm])?\s*(.*)$")
    timed = parts[0].notna()
    hour = parts[0].fillna("0").astype(int)
    half = parts[2].fillna("").str.lower()
    hour = hour.where(half == "", hour % 12 + 12 * (half == "p"))
    written = "T" + hour.astype(str).str.zfill(2) + parts[1].fillna(":00") + parts[3].fillna("")
    return written.where(timed, rest)
