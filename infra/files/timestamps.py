"""Columns of times, however they are written, as UNIX nanoseconds UTC."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.infra.files.dates import as_iso, clock_seconds, of_digits
from windvane.infra.files.errors import InputError
from windvane.infra.files.values import is_number, is_text
from windvane.metamodel.base.config import SECOND
from windvane.metamodel.base.times import DAY

GENESIS = 1_230_940_800 * SECOND
"""2009-01-03, ns: no price of Bitcoin is older. A number that is a time from here to END in one unit lies outside of
that in any other, so numbers name their own unit.
"""
END = 4_102_444_800 * SECOND
"""2100-01-01, ns."""
UNITS = {"seconds": SECOND, "milliseconds": 1_000_000, "microseconds": 1_000, "nanoseconds": 1}
FINE, NOT_A_TIME, BEFORE, AFTER = range(4)

_ARROW_UNITS = {"s": SECOND, "ms": 1_000_000, "us": 1_000, "ns": 1}
USUAL = (86_400, 14_400, 3_600, 1_800, 900, 300, 180, 60, 30, 15, 10, 5, 1)  # s
_NAT = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class Times:
    """A column of n times that was read."""

    ts: Ints  # (n,) ns, 0 where there is a fault
    fault: Ints  # (n,) FINE, NOT_A_TIME, BEFORE or AFTER
    note: str  # how the column was read


def parse_times(column: Any) -> Times:
    """Read a pyarrow column of numbers in any unit, timestamps, dates or ISO 8601 text; all else is NOT_A_TIME."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_timestamp(kind):
        times = _scaled(_ints(column.cast(pa.int64())), _ARROW_UNITS[kind.unit])
        zone = "UTC" if kind.tz is None else f"{kind.tz}, as its UTC instants"
        return Times(*times, f"times read as {zone}")
    if pa.types.is_date64(kind):
        return Times(*_scaled(_ints(column.cast(pa.int64())), 1_000_000), "dates read as midnight UTC")
    if pa.types.is_date(kind):
        days = _ints(column.cast(pa.int32()).cast(pa.int64()))
        return Times(*_scaled(days, DAY), "dates read as midnight UTC")
    if pa.types.is_integer(kind):
        return _by_magnitude(_ints(column.cast(pa.int64(), safe=False)))
    if is_text(kind):
        return _text(column)
    if not is_number(kind):
        n = len(column)
        return Times(np.zeros(n, np.int64), np.full(n, NOT_A_TIME, np.int64), "no times")
    return _by_magnitude(np.asarray(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)))


def parse_moment(moment: int | str | datetime | None, name: str) -> int | None:
    """UNIX ns of a bound, which is ns, ISO 8601 text or a datetime (UTC without a zone); None stays None.

    name: of the option, for the InputError that is raised for text that is no time.
    """
    if moment is None or isinstance(moment, int):
        return moment
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment)
        except ValueError:
            raise InputError(
                f"{name} is {moment!r}: give a date such as 2019-04-01 or 2019-04-01T12:00"
            ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * SECOND + since.microseconds * 1000


def common_step(ts: Ints) -> int:
    """ns of a bar, from the times of many bars: the most common distance, 0 where no time moves on.

    Where trades are rare, most distances are longer than a bar. Then it is the longest usual interval of which nearly
    all distances are multiples.
    """
    steps, number = np.unique(np.diff(ts), return_counts=True)
    steps, number = steps[steps > 0], number[steps > 0]
    if not len(steps):
        return 0
    usual = int(steps[np.argmax(number)])
    for step in (usual, *(second * SECOND for second in USUAL)):
        if step <= usual and number[steps % step == 0].sum() >= 0.99 * number.sum():
            return step
    return usual


def _ints(column: Any) -> Ints:
    """A column as int64, with the smallest int64 where it has no number."""
    return np.asarray(column.fill_null(_NAT).to_numpy(), np.int64)


def _scaled(values: Ints, factor: int) -> tuple[Ints, Ints]:
    """Times, ns, and faults of whole numbers in one unit, of which one is `factor` ns."""
    fault = np.zeros(len(values), np.int64)
    fault[values < -(-GENESIS // factor)] = BEFORE
    fault[values >= END // factor] = AFTER
    fault[values == _NAT] = NOT_A_TIME
    return np.where(fault == FINE, values, 0) * factor, fault


def _by_magnitude(values: Ints | Floats) -> Times:
    """Times of numbers, each in the unit that its size says: from 2009 to 2100 no number is valid in two units.

    Every row has its own unit, since dumps that were joined may change from milliseconds to microseconds.
    """
    ts = np.zeros(len(values), np.int64)
    rows: dict[str, int] = {}
    for unit, factor in UNITS.items():
        inside = (values >= GENESIS / factor) & (values < END / factor)
        number = int(np.count_nonzero(inside))
        if not number:
            continue
        rows[unit] = number
        if values.dtype == np.int64:
            ts[inside] = values[inside] * factor
        else:
            # Seconds as text or floats have microseconds at best; rounding to them undoes binary fractions.
            grain = min(factor, 1000)
            ts[inside] = np.round(values[inside] * (factor // grain)).astype(np.int64) * grain
    fault = np.where(ts == 0, AFTER, FINE)
    usual = UNITS[max(rows, key=rows.__getitem__)] if rows else 1
    fault[(ts == 0) & (values < GENESIS / usual)] = BEFORE
    fault[~np.isfinite(values) | (values == _NAT)] = NOT_A_TIME
    if (fault != FINE).any():
        dates, moments = of_digits(values)
        ts[dates], fault[dates] = moments, FINE
        if len(dates) and not rows:
            return Times(ts, fault, "times read as digits of a date, UTC")
    if len(rows) == 1:
        note = f"timestamps read as {next(iter(rows))}"
    else:
        note = "timestamps read as " + " and ".join(
            f"{unit} ({number} rows)" for unit, number in rows.items()
        )
    return Times(ts, fault, note if rows else "no times")


_CLOCK = re.compile(r"^\s*\d{1,2}:\d\d(:\d\d(\.\d+)?)?\s*$")
_MOST_OF = 0.9
_SAMPLE = 1000


def are_times(column: Any) -> bool:
    """Whether nearly all of the first values of a column are times."""
    sample = column.slice(0, _SAMPLE)
    number = len(sample) - sample.null_count
    if not number or are_clocks(column):
        return False
    return bool(np.count_nonzero(parse_times(plain_column(sample)).fault == FINE) >= _MOST_OF * number)


def are_clocks(column: Any) -> bool:
    """Whether a column holds times of a day without a date."""
    import pyarrow as pa

    sample = plain_column(column.slice(0, _SAMPLE))
    if pa.types.is_time(sample.type):
        return True
    if pa.types.is_integer(sample.type) and sample.null_count < len(sample):
        values = sample.drop_null().cast(pa.int64()).to_numpy()
        # HHMMSS; a column of HHMM passes as well.
        return bool(clock_seconds(values)[1].all() and values.max() > 0)
    if not is_text(sample.type):
        return False
    words = sample.drop_null().to_pylist()
    return bool(words) and sum(_CLOCK.match(word) is not None for word in words) >= _MOST_OF * len(words)


def plain_column(column: Any) -> Any:
    """A column without dictionary or view, as the rest of the readers know them."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.cast(pa.large_string()) if pa.types.is_string_view(column.type) else column


def add_clock(dates: Times, column: Any) -> Times:
    """Dates, and the time of the day that stands in a column of its own."""
    import pandas as pd
    import pyarrow as pa

    if pa.types.is_time(column.type):
        factor = _ARROW_UNITS[column.type.unit]
        whole = pa.int32() if pa.types.is_time32(column.type) else pa.int64()
        values = _ints(column.cast(whole).cast(pa.int64()))
        sound = values != _NAT
        clock = np.where(sound, values, 0) * factor
    elif pa.types.is_integer(column.type):
        values = _ints(column.cast(pa.int64()))
        if values.max(initial=0) <= 2_359:  # hours and minutes alone
            values = np.where(values == _NAT, _NAT, values * 100)
        seconds, sound = clock_seconds(values)
        clock = np.where(sound, seconds, 0) * SECOND
    else:
        text = pd.Series(column.to_pandas(), dtype=object).fillna("").astype(str).str.strip()
        short = text.str.count(":") == 1
        spans = pd.to_timedelta(text.where(~short, text + ":00"), errors="coerce")
        sound = spans.notna().to_numpy()
        clock = np.where(sound, spans.to_numpy().astype("timedelta64[ns]").astype(np.int64), 0)
    fault = np.where((dates.fault == FINE) & ~sound, NOT_A_TIME, dates.fault)
    return Times(
        np.where(fault == FINE, dates.ts + clock, 0), fault, "times read from a date and a time of day, UTC"
    )


def _text(column: Any) -> Times:
    """Numbers where the text is one, else ISO 8601, else a date as some vendors write it."""
    import pandas as pd

    text = pd.Series(column.to_pandas(), dtype=object)
    numbers = pd.to_numeric(text, errors="coerce").to_numpy(np.float64)
    dates = np.isnan(numbers) & text.notna().to_numpy()
    times = _by_magnitude(numbers)
    if not dates.any():
        return times
    moments = pd.DatetimeIndex(pd.to_datetime(text[dates], utc=True, format="ISO8601", errors="coerce"))
    note = "ISO 8601"
    if np.mean(moments.isna()) > 1 - _MOST_OF:
        rewritten, form = as_iso(text[dates].astype(str))
        if form:
            moments = pd.DatetimeIndex(pd.to_datetime(rewritten, utc=True, format="ISO8601", errors="coerce"))
            note = form
    ts, fault = _scaled(np.asarray(moments.asi8), _ARROW_UNITS[moments.unit])
    times.ts[dates], times.fault[dates] = ts, fault
    some = bool((fault != NOT_A_TIME).any())
    if some and (np.isnan(numbers).all() or not (times.fault[~dates] == FINE).any()):
        return Times(times.ts, times.fault, f"times read as {note}, UTC where no zone is given")
    return Times(times.ts, times.fault, times.note + (f", others as {note}" if some else ""))
