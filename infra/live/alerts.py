"""Alerts: what a person should be woken for, said once for each cause until it is over, with what to do about it.

It has no clock and sends nothing; `windvane.infra.live.alerting` does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

MINUTE = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a session knows of itself at a moment. Totals count since it began.

    now: seconds of any clock that does not step back. day: days since 1970, UTC. state: active, reduce-only or halted.
    silent: seconds since anything of the market came. dials: connections that were dialled. letters: rows and records
    that were rejected. kept: trainings in a row whose result was refused. offset: seconds by which the exchange's clock
    is ahead. rows, decided: rows that were made and that were decided. stored: whether the last write to disk went
    well. equity, pnl, capital: quote currency. orders: sent on paper.
    """

    now: float
    day: int
    state: str
    silent: float
    dials: int
    letters: int
    kept: int
    offset: float
    rows: int
    decided: int
    stored: bool
    equity: float
    pnl: float
    capital: float
    orders: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When an alert is due; it is over at half of that. drawdown: share of capital below the highest equity. silence:
    seconds. storm: dials in five minutes. letters: rejected in ten minutes. kept: trainings in a row. offset: seconds.
    """

    drawdown: float = 0.1
    silence: float = 60.0
    storm: int = 10
    letters: int = 10
    kept: int = 3
    offset: float = 1.0


class Alert(NamedTuple):
    """cause: one word, the same for beginning and end. over: whether it is the end. text: for a person."""

    cause: str
    over: bool
    text: str


class _Window:
    """How much a total has grown within the last `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._seen: deque[tuple[float, int]] = deque()

    def grown(self, now: float, total: int) -> int:
        if not self._seen or self._seen[-1][1] != total:
            self._seen.append((now, total))
        while len(self._seen) > 1 and self._seen[1][0] <= now - self._seconds:
            self._seen.popleft()
        return total - self._seen[0][1]


class Watch:
    """Looks at the facts of one book and remembers what it has told."""

    def __init__(self, book: str, limits: Limits | None = None) -> None:
        self.limits = Limits() if limits is None else limits
        self._book = book
        self._told: set[str] = set()
        self._dials = _Window(5 * MINUTE)
        self._letters = _Window(10 * MINUTE)
        self._peak: float | None = None
        self._began: Facts | None = None  # as the day began, or the session within it

    def look(self, facts: Facts) -> list[Alert]:
        """Alerts that are due now: for each cause that begins or is over, and one at the end of each UTC day."""
        out = [alert for cause in self._causes(facts) if (alert := self._turn(*cause)) is not None]
        return [*out, *self._summary(facts)]

    def healthy(self, facts: Facts) -> bool:
        """Whether the market is heard, decisions follow the rows, and the last write succeeded."""
        return facts.silent < self.limits.silence and facts.decided == facts.rows and facts.stored

    def _causes(self, facts: Facts) -> Iterator[tuple[str, float, float, str]]:
        """Each cause: its name, how bad it is, from where on it is told, and the sentence with what to do."""
        limits = self.limits
        self._peak = facts.equity if self._peak is None else max(self._peak, facts.equity)
        fall = (self._peak - facts.equity) / facts.capital
        dials = self._dials.grown(facts.now, facts.dials)
        letters = self._letters.grown(facts.now, facts.letters)
        yield (
            "halt",
            float(facts.state != "active"),
            1.0,
            f"trading is {facts.state}: find out why, then resume by a control",
        )
        yield (
            "drawdown",
            fall,
            limits.drawdown,
            f"equity is {fall:.1%} of capital below its highest: look at position and market, halt by a control",
        )
        yield (
            "silence",
            facts.silent,
            limits.silence,
            f"nothing of the market has come for {facts.silent:.0f} s: look at the network and the exchange's status",
        )
        yield (
            "reconnects",
            dials,
            limits.storm,
            f"{dials} connections were dialled in five minutes: look at the network and the exchange's status",
        )
        yield (
            "letters",
            letters,
            limits.letters,
            f"{letters} rows were rejected in ten minutes: the dead letters of the session say why",
        )
        yield (
            "retraining",
            facts.kept,
            limits.kept,
            f"{facts.kept} trainings in a row were refused: the old model trades on, and the report compares it",
        )
        yield (
            "clock",
            abs(facts.offset),
            limits.offset,
            f"the exchange's clock is {facts.offset:+.1f} s off this machine's: let NTP set this one",
        )
        yield (
            "storing",
            float(not facts.stored),
            1.0,
            "the session cannot be stored: free space on the disk, or it begins again where it was last stored",
        )

    def _turn(self, cause: str, value: float, limit: float, text: str) -> Alert | None:
        if value >= limit and cause not in self._told:
            self._told.add(cause)
            return Alert(cause, False, f"{self._book}: {text}")
        if value <= 0.5 * limit and cause in self._told:
            self._told.remove(cause)
            return Alert(cause, True, f"{self._book}: {cause} is over")
        return None

    def _summary(self, facts: Facts) -> Iterator[Alert]:
        began = self._began
        if began is not None and began.day == facts.day:
            return
        self._began = facts
        if began is None:
            return
        yield Alert(
            "summary",
            False,
            f"{self._book}: the day made {facts.equity - began.equity:+,.2f} with {facts.orders - began.orders:,} "
            f"orders in {facts.rows - began.rows:,} rows; equity {facts.equity:,.2f}, {facts.state}, "
            f"{facts.letters - began.letters:,} rejected",
        )
