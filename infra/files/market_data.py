"""A file of market data, made ready to trade on: read, cleaned and sampled to bars, with notes about what was done."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.infra.files.errors import HARMLESS, InputError
from windvane.infra.files.paths import printable
from windvane.infra.files.readers import MarketFile, read_market_file
from windvane.infra.files.reading import AS_RECOGNISED, Reading
from windvane.metamodel.base.config import default_stale_after
from windvane.metamodel.base.rows import level_flags
from windvane.metamodel.base.times import DAY
from windvane.metamodel.data.cleaning import Cleaner
from windvane.metamodel.data.columns import Columns
from windvane.metamodel.data.sampler import BarSampler, format_interval, parse_interval
from windvane.metamodel.features.extractor import WARMUP
from windvane.streams.events import DeadLetter, Ticks

_MOST_LETTERS = 1000
"""So many rejected rows have a dead letter each; all are counted."""


_REGULAR = 0.5
"""Share of equal steps from which rows count as regular."""


@dataclass(frozen=True, slots=True)
class MarketData:
    """The rows of a file that are traded on, and what was rejected of it."""

    file: str  # name
    kind: str  # "real" or "simulated"
    bars: str  # what a row is, in words
    columns: Columns  # ts does not decrease
    interval: int  # ns of a row, 0 for ticks
    stale_after: int  # ns without a row after which the book is stale
    rejected: dict[str, int]  # reason -> rows
    letters: tuple[tuple[int, str], ...]  # (row of the file, reason) of the first thousand
    notes: tuple[str, ...]  # what was recognised and done, one sentence each
    rows: int = 0  # sound rows of the file, before they were sampled to bars

    def __post_init__(self) -> None:
        for name in ("ts", "price", *self.columns.present):
            if not getattr(self.columns, name).flags.writeable:
                raise TypeError(f"column {name} is read-only: kernels are compiled for arrays that are not")

    def digest(self) -> str:
        """Hex SHA-256 of all columns."""
        whole = hashlib.sha256()
        for name in ("ts", "price", *self.columns.present):
            whole.update(name.encode())
            whole.update(np.ascontiguousarray(getattr(self.columns, name)).tobytes())
        return whole.hexdigest()

    def ticks(self, book: str, start: int, stop: int) -> Ticks:
        """The rows start <= seq < stop as an event of a book."""
        c = self.columns
        rows = slice(start, stop)
        return Ticks(
            book=book,
            seq=np.arange(start, stop),
            ts=c.ts[rows],
            flags=self.flags(start, stop),
            price=c.price[rows],
            **{
                name: getattr(c, name)[rows]
                for name in ("size", "bid", "ask", "bid_size", "ask_size", "buy_size", "regime")
                if getattr(c, name) is not None
            },
        )

    def flags(self, start: int, stop: int) -> Ints:
        """(stop - start,) flags: LEVEL where a row is on another level of price than the row before, else 0."""
        before = max(start - 1, 0)
        return level_flags(_mid(self.columns, before, stop))[start - before :]

    def dead_letters(self, book: str) -> Iterator[DeadLetter]:
        """One dead letter for each of the first thousand rejected rows; all are counted in `rejected`."""
        for row, reason in self.letters:
            yield DeadLetter(book=book, source=f"{self.file} row {row}", reason=reason, payload="")


def load_market(
    path: Path,
    *,
    bars: str | None = None,
    start: str | None = None,
    end: str | None = None,
    reading: Reading = AS_RECOGNISED,
) -> MarketData:
    """Read a file and make it ready to trade on; raises InputError where that cannot be.

    bars: resample to bars of 30s, 15m, 1h, 1d ...; start and end: of the period, a date or a time in ISO 8601, UTC;
    reading: what a person says of the file.
    """
    source = read_market_file(path, start=start, end=end, reading=reading)
    market = prepared(source, bars)
    refuse_many_rejected(market, reading.max_rejected)
    return market


def refuse_many_rejected(market: MarketData, most: float) -> None:
    """Raises InputError where more than `most` percent of the rows are rejected: such a file is read wrongly.

    Bars without a price and rows that stand in the file twice do not count.
    """
    faults = {reason: number for reason, number in market.rejected.items() if reason not in HARMLESS}
    bad, rows = sum(faults.values()), sum(market.rejected.values()) + market.rows
    if bad * 100 > most * rows:
        reason = max(faults, key=faults.__getitem__)
        raise InputError(
            f"{market.file}: {bad:,} of {rows:,} rows ({bad / rows:.0%}) would be rejected, {faults[reason]:,} of "
            f"them because {reason}: `windvane inspect` shows how the file is read, --columns and its like say it "
            f"otherwise, and --max-rejected allows more than {most:g} %"
        )


def prepared(source: MarketFile, bars: str | None = None) -> MarketData:
    """The rows of a file, cleaned and sampled to bars; raises InputError where none is left."""
    notes = list(source.notes)
    usual = source.interval or _spacing(source.columns)
    cleaner = Cleaner(bar_interval=source.interval, max_jump=max(100 * usual, DAY))
    ids = source.ids
    if ids is None and source.kind == "trades":
        ids = np.arange(len(source.columns))
        notes.append("trades have no ids, so equal ones in a row are kept: they may well be two trades")
    cleaned = cleaner.clean(source.columns, ids)
    columns, interval = cleaned.columns, source.interval
    rows = len(columns)
    if cleaner.stepped_back:
        notes.append(f"{cleaner.stepped_back} rows whose clock stepped back by up to 5 s were raised")
    what = f"{format_interval(interval)} bars" if interval else source.kind
    if bars is not None:
        columns, interval = _bars(columns, bars, interval, usual, notes)
        what = f"{bars} bars"
    if not len(columns):
        raise InputError(
            f"{printable(source.path.name)} has no row left to trade: widen --from and --to, or check the file"
        )
    spacing = interval or _spacing(columns)
    stale_after = default_stale_after(spacing)
    holes = int((np.diff(columns.ts) > stale_after).sum())
    if holes:
        notes.append(
            f"{holes} holes of more than {stale_after / 60e9:g} minutes: trading only reduces for 3 rows after each"
        )
    levels = np.count_nonzero(level_flags(_mid(columns, 0, len(columns))))
    if levels:
        notes.append(f"{levels} rows more than a factor of 2 from the row before, which were believed")
    rejected = dict(source.rejected.counts())
    for reason, count in cleaner.counts.items():
        if count and reason != "accepted":
            rejected[reason] = rejected.get(reason, 0) + count
    letters = [(letter.row, letter.reason) for letter in source.rejected[:_MOST_LETTERS]]
    for index, reason in zip(
        cleaned.index[:_MOST_LETTERS].tolist(), cleaned.reasons[:_MOST_LETTERS], strict=True
    ):
        letters.append((int(source.numbers[index]), reason))
    letters.sort()
    return MarketData(
        file=printable(source.path.name),
        kind="simulated" if source.simulated else "real",
        bars=what,
        columns=columns,
        interval=interval,
        stale_after=stale_after,
        rejected=rejected,
        letters=tuple(letters[:_MOST_LETTERS]),
        notes=tuple(notes),
        rows=rows,
    )


def _bars(columns: Columns, bars: str, interval: int, spacing: int, notes: list[str]) -> tuple[Columns, int]:
    """Rows sampled to bars, and the ns that each covers; raises InputError where they cannot be."""
    try:
        target = parse_interval(bars)
        if target == interval:
            return columns, target
        if target == spacing and not (columns.ts[:WARMUP] % target).any():
            notes.append(f"ticks come every {bars} already and are taken as the ends of bars")
            return columns, target
        if not interval and spacing > target:
            usual = format_interval(spacing)
            raise InputError(f"rows come every {usual}, rarer than bars of {bars}: ask for longer bars")
        sampler = BarSampler(target, interval)
    except ValueError as error:
        raise InputError(str(error)) from error
    sampled = sampler.push(columns)
    sampler.finish()
    if sampler.dropped:
        notes.append("the last bar was unfinished and left out")
    return sampled, target


def _mid(columns: Columns, start: int, stop: int) -> Floats:
    """(stop - start,) prices at which accounts are valued: the middle of bid and ask, or the price without quotes."""
    if columns.bid is None or columns.ask is None:
        return columns.price[start:stop]
    return 0.5 * columns.bid[start:stop] + 0.5 * columns.ask[start:stop]


def _spacing(columns: Columns) -> int:
    """The usual ns between rows, measured in the warm-up: no row that is traded on decides about its own interval."""
    steps = np.diff(columns.ts[: WARMUP + 1])
    steps = steps[steps > 0]
    if not len(steps):
        return 0
    values, counts = np.unique(steps, return_counts=True)
    common = int(counts.argmax())
    if counts[common] > _REGULAR * len(steps):
        return int(values[common])
    return int(np.median(steps))
