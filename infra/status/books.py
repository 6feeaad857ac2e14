"""The present state of every book, from what the workers of all stages told of it last."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from windvane.infra.kafka.broker.summaries import Summaries, Told, WorkerSummary
from windvane.metamodel.trading.risk import GATES
from windvane.streams.summaries import UNKNOWN, BookSummary, Opening, Trading

FEATURES, PROPOSALS, ENSEMBLE = "features", "proposals", "ensemble"


class Control(msgspec.Struct, frozen=True, kw_only=True):
    """The last control that a book has obeyed."""

    number: int
    action: str | None  # None where a version that did not store it obeyed it
    row: int  # the first that it ruled


class BookTrouble(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with a book."""

    code: str
    text: str  # one sentence with what to do


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """The present state of one book; a field is None where no worker has told it yet."""

    book: str
    partition: int
    closed: bool  # its feed has ended it
    state: str | None  # active, reduce-only, halted, flattening, or closed once all its rows are decided
    rows: int | None  # decided
    ticks: int | None  # rows that the features stage has received, beyond holes too
    features: int | None  # rows
    proposals: int | None  # rows that all agents which workers run have answered
    behind: int | None  # rows that have come and are not decided
    row_ts: int | None  # event time of the last row, UNIX ns
    row_age: float | None  # s since the last row came; None: never, or before the workers know
    last_control: Control | None  # None where none was obeyed
    learner: int | None  # version in use
    model: str | None  # SHA-256 of the weights that a person swapped in, "own" where none are in use
    position: float | None  # units of capital
    equity: float | None  # currency
    day: float | None  # currency, earned since the UTC day began
    verdicts: list[str] | None  # gates that acted at the last row; None: no row since the ensemble's restart
    symbol: str | None
    capital: float | None  # currency, what the book began with
    agents: tuple[str, ...]
    remote: tuple[str, ...]  # those of them that answer from elsewhere, whom no worker runs
    closing: str | None  # lockstep or timed
    digest: str | None  # of its settings
    troubles: list[BookTrouble] = []


class _Seen(NamedTuple):
    """What one stage told of a book."""

    worker: WorkerSummary | None
    partition: int
    summary: BookSummary
    row_at: int  # UNIX s, 0 where that is not known
    opening: Opening | None


def books_of(summaries: Summaries, now: float) -> dict[str, Book]:
    """The present state of every book that a worker has told of, by name in order; now: UNIX s."""
    by_book: dict[str, dict[str, list[_Seen]]] = {}
    troubles: dict[str, list[BookTrouble]] = {}
    for (name, partition), told in summaries.told.items():
        stage = name.partition(".")[0]
        for seen in _seen(told, partition):
            if seen.summary.closed and seen.summary.book in summaries.removed:
                continue
            by_book.setdefault(seen.summary.book, {}).setdefault(stage, []).append(seen)
        for book, (code, text) in _troubles(told):
            troubles.setdefault(book, []).append(BookTrouble(code=code, text=text))
    return {
        name: _book(name, stages, troubles.get(name, []), now) for name, stages in sorted(by_book.items())
    }


def _seen(told: Told, partition: int) -> Iterator[_Seen]:
    for part in told.books:
        for summary, row_at in zip(part.books, part.row_at, strict=False):
            yield _Seen(told.worker, partition, summary, row_at, part.openings.get(summary.settings))


def _troubles(told: Told) -> Iterator[tuple[str, tuple[str, str]]]:
    for part in told.books:
        yield from part.troubles.items()


def _book(name: str, stages: dict[str, list[_Seen]], told: list[BookTrouble], now: float) -> Book:
    every = [seen for group in stages.values() for seen in group]
    fed, decided = _one(stages, FEATURES), _one(stages, ENSEMBLE)
    opening = next((seen.opening for seen in every if seen.opening is not None), None)
    agents, remote = ((), ()) if opening is None else (opening.agents, opening.remote)
    first = fed or decided or every[0]
    closed = any(seen.summary.closed for seen in every)
    trading = None if decided is None else decided.summary.trading
    ticks, rows = _rows(fed, reached=True), _rows(decided)
    ended = decided is not None and decided.summary.closed
    return Book(
        book=name,
        partition=first.partition,
        closed=closed,
        state="closed" if ended else None if trading is None else trading.state,
        rows=rows,
        ticks=ticks,
        features=_rows(fed),
        proposals=_answered(stages.get(PROPOSALS, []), [agent for agent in agents if agent not in remote]),
        behind=_behind(ticks, rows, ended),
        row_ts=max((seen.summary.ts for seen in every), default=0) or None,
        row_age=max(0.0, now - first.row_at) if first.row_at else None,
        symbol=None if opening is None else opening.symbol,
        capital=None if opening is None else opening.capital,
        agents=agents,
        remote=remote,
        closing=None if opening is None else opening.closing,
        digest=None if opening is None else opening.digest,
        troubles=told,
        **_traded(trading),
    )


def _one(stages: dict[str, list[_Seen]], stage: str) -> _Seen | None:
    return next(iter(stages.get(stage, ())), None)


def _rows(seen: _Seen | None, *, reached: bool = False) -> int | None:
    if seen is None:
        return None
    rows = seen.summary.reached if reached else seen.summary.rows
    return None if rows == UNKNOWN else rows


def _behind(ticks: int | None, rows: int | None, ended: bool) -> int | None:
    """Rows that wait to be decided; never below 0, since stages tell at different moments."""
    if ended or ticks is None:
        return 0 if ended else None
    return max(0, ticks - (rows or 0))


def _answered(seen: Iterable[_Seen], agents: Iterable[str]) -> int | None:
    """Rows for which each of these agents has proposed; workers that are gone count for none that is there."""
    rows: dict[str, int] = {}
    for one in seen:
        for agent in () if one.worker is None else one.worker.agents:
            rows[agent] = max(one.summary.rows, rows.get(agent, 0))
    return min((rows.get(agent, 0) for agent in agents), default=None) if rows else None


def _traded(trading: Trading | None) -> dict[str, Any]:
    """The fields that the ensemble knows."""
    if trading is None:
        return dict.fromkeys(
            ("last_control", "learner", "model", "position", "equity", "day", "verdicts"), None
        )
    control = Control(number=trading.control, action=trading.action or None, row=trading.control_row)
    verdict = trading.verdict
    return {
        "last_control": control if trading.control else None,
        "learner": trading.learner,
        "model": trading.model or "own",
        "position": trading.position,
        "equity": trading.equity,
        "day": trading.day,
        "verdicts": None if verdict is None else [g for k, g in enumerate(GATES) if verdict >> k & 1],
    }
