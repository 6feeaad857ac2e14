"""Session: one book that trades on paper on what comes from a feed, in one process and without a broker."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from windvane.infra.feeds.errors import FeedError
from windvane.infra.feeds.feed import Feed, Gap, Item, Market, Note, Quote, Trade
from windvane.infra.live.alerting import Alerting
from windvane.infra.live.book import LiveBook
from windvane.infra.live.controls import Controls, Outcome
from windvane.infra.live.history import Wanted, gather
from windvane.infra.live.latency import Latencies
from windvane.infra.live.plan import LivePlan
from windvane.infra.live.raw import recordable, recorder
from windvane.infra.live.resuming import Stopped, stopped
from windvane.infra.live.rows import LiveRows, Mark
from windvane.infra.live.saving import Saver
from windvane.infra.live.showing import facts_of, state_of
from windvane.infra.live.socket import serving
from windvane.infra.live.teaching import teach
from windvane.infra.live.telling import Teller
from windvane.infra.runs.backtest import RUN, add_info, clear, handed_over, opened_as, part, run_info
from windvane.infra.runs.files import replace_file
from windvane.infra.runs.snapshots import RunError
from windvane.metamodel.base.config import SECOND, digest
from windvane.streams.events import BookOpened, Ticks
from windvane.streams.stage import Trainer

T = TypeVar("T")

_TURN = 0.1
"""Seconds after which silence is looked at."""

_QUOTES_FOR = 3 * SECOND
"""ns of the market from which the spread of a history without quotes is taken."""


class Session:
    """One call of `run`, which returns when it ends; `control` and `state` are for the same event loop meanwhile.

    What it leaves in `out` are the files of a backtest, once `infra.runs.summary.finish` has written the report.
    """

    def __init__(
        self,
        plan: LivePlan,
        feed: Feed,
        out: Path,
        *,
        teller: Teller,
        trainer: Trainer | None = None,
        alerting: Alerting | None = None,
    ) -> None:
        self.plan = plan
        self.feed = feed
        self.out = out
        self.latencies = Latencies()
        self.rejected: Counter[str] = Counter()
        self.first_live = 0  # seq of the first row that is no history
        self.gaps = 0
        self._folder = out / "journal"
        self._trainer = trainer
        self._teller = teller
        self._alerting = alerting
        self._saver = Saver()
        self._book: LiveBook | None = None
        self._rows: LiveRows | None = None
        self._controls: Controls | None = None
        self.heard = time.monotonic()  # when anything of the market came
        self.stored = True  # whether the last write to disk went well
        self._saved = time.monotonic()
        self._looked = 0.0

    @property
    def book(self) -> LiveBook:
        """The book, once `run` has opened it; raises RunError before."""
        return _there(self._book)

    @property
    def opened(self) -> bool:
        """Whether there is a book."""
        return self._book is not None

    @property
    def rows(self) -> LiveRows:
        """The rows of the book, as `book`."""
        return _there(self._rows)

    async def run(self, stopping: Callable[[], bool]) -> None:
        """Trade until `stopping` says so, the plan's time is over, or the feed can never go on.

        Raises FeedError where the exchange cannot be read, RunError where `out` holds another run.
        """
        if self.plan.record_bytes:
            recordable(self.feed)
        before = self._before()
        mark = Mark() if before is None else before.mark
        market = await self.feed.open(after=mark.trade)
        raw = (
            recorder(self.feed, market, self.out, self.plan.record_bytes) if self.plan.record_bytes else None
        )
        try:
            items = await self._open(market, mark, before, stopping)
            if self._book is not None:
                async with serving(self.out, self.control, self.state):
                    await self._work(items, stopping)
                self._end(self._book)
        finally:
            await self.feed.close()
            if raw is not None:
                raw.close()
                if raw.dropped:
                    self._teller.say(f"{raw.dropped:,} frames came after --record-raw was full")
            self._saver.close()
            if self._book is not None:
                self._book.abandon()

    def control(
        self, action: str, by: str, reason: str = "", nonce: str = "", weights: bytes = b""
    ) -> Outcome:
        """Carry out a person's control; it is obeyed when this returns. As `Controls.carry_out`."""
        return _there(self._controls).carry_out(action, by, reason, nonce, weights)

    def state(self) -> dict[str, Any]:
        """What people look at first, as JSON values; it costs microseconds."""
        return state_of(self)

    def ending(self) -> str:
        """What a person is told at the end: what is open, and how to go on."""
        told = self.state()
        holds = f"the book holds {told['qty']:+g} on paper" if told["position"] else "the book holds nothing"
        return (
            f"stopped after {told['rows']:,} rows: {holds}, equity {told['equity']:,.2f} ({told['pnl']:+,.2f}); "
            "the same command goes on"
        )

    # How it begins

    def _before(self) -> Stopped | None:
        """How an earlier session in this folder was left, None where there was none."""
        if not (self._folder / RUN).is_file():
            return None
        info = run_info(self._folder)
        if any(info.get(name) != value for name, value in self.plan.key.items()):
            raise RunError(
                f"{self.out} holds a run of other data or options: choose another --out, "
                f"or remove {self._folder} to give that run up"
            )
        return None if info.get("warming") else stopped(self._folder)

    async def _open(
        self, market: Market, mark: Mark, before: Stopped | None, stopping: Callable[[], bool]
    ) -> list[Item]:
        """Open the book, or go on with it; returns what came from the feed meanwhile."""
        items: list[Item] = []
        if before is None:
            while not (price := _price(items)) or not self._enough(items):
                if stopping():
                    return items
                items += await self._take()
            config = self.plan.configure(market, price)
            clear(self._folder)
            self._write_info({**self.plan.key, **self._new_info(market)})
        else:
            config = opened_as(self._folder)
            self.latencies = Latencies(before.head["latency"])
            self.rejected = Counter(before.head["rejected"])
            self.first_live = run_info(self._folder)["first_live"]
            handed_over(self._folder, mark.seq)
            add_info(self._folder, finished=False)
            self._teller.say(f"goes on from row {mark.seq:,} and trade {mark.trade}")
        opened = BookOpened(book=self.plan.book, config=config, digest=digest(config))
        plan = self.plan
        book = LiveBook(
            *(self._folder, opened, self._saver, self._trainer, before, plan.keep_days, plan.watch),
            plan.bindings,
        )
        book.told |= {"latency": self.latencies.counts, "rejected": self.rejected}
        if before is None and self.plan.warmup is not None:
            mark, items = await self._warm(book, self.plan.warmup, items)
        self._rows = LiveRows(market, self.plan.interval or None, self.plan.book, mark)
        self._controls = Controls(book, self._beat)
        self._book = book
        self._save()
        return items

    def _enough(self, items: list[Item]) -> bool:
        """Whether what has come is enough to begin: with a history, trades and the quotes of some seconds."""
        if self.plan.warmup is None:
            return True
        first = next((item for item in items if isinstance(item, Trade)), None)
        return first is not None and self.feed.now() - first.ts > _QUOTES_FOR

    async def _warm(self, book: LiveBook, wanted: Wanted, items: list[Item]) -> tuple[Mark, list[Item]]:
        """Teach the book what lies before its first live row, without trading on it; returns what comes then."""
        self._teller.say("reading the history before the first live trade")
        warmed = await gather(self.feed, wanted, items)
        teach(book, warmed)
        self.first_live = warmed.mark.seq
        for note in warmed.notes:
            self._teller.say(note)
        self._teller.say(f"warmed up by {self.first_live:,} rows, on which nothing was traded")
        notes = run_info(self._folder)["notes"]
        add_info(self._folder, first_live=self.first_live, notes=[*notes, *warmed.notes], warming=False)
        return warmed.mark, [*warmed.missing, *items]

    def _new_info(self, market: Market) -> dict[str, Any]:
        """What run.json says of a session that begins, beside what must stay the same."""
        notes = ["paper: no order was sent to anybody, and fills are made up from the rows that followed"]
        notes.append(
            "funding of the perpetual is not booked"
            if market.perpetual
            else "a spot market cannot be shorted: the position is never below 0"
        )
        return {
            "finished": False,
            "preset": self.plan.preset,
            "file": f"{market.exchange} {market.symbol}, live on paper",
            "kind": "real",
            "bars": self.plan.bars,
            "rejected": {},
            "notes": notes + [f"{market.exchange}: {lack}" for lack in market.lacks],
            "full": False,
            "first_live": 0,
            "warming": self.plan.warmup is not None,
            "computed_by": [part(0)],
        }

    def _write_info(self, info: dict[str, Any]) -> None:
        replace_file(self._folder / RUN, json.dumps(info, indent=2).encode())

    # How it goes on

    async def _work(self, items: list[Item], stopping: Callable[[], bool]) -> None:
        until = None if self.plan.seconds is None else time.monotonic() + self.plan.seconds
        while not stopping() and (until is None or time.monotonic() < until):
            self._step(items)
            try:
                items = await self._take()
            except FeedError as error:
                self._teller.say(f"the feed ended: {error}")
                return

    async def _take(self) -> list[Item]:
        """What came from the feed, after a moment at most."""
        try:
            async with asyncio.timeout(_TURN):
                items = await self.feed.take()
        except TimeoutError:
            return []
        for item in items:
            if isinstance(item, Note):
                self._teller.say(item.text)
            elif isinstance(item, Gap):
                self.gaps += 1
                self._teller.say(f"trades {item.first} to {item.last} are missing: {item.reason}")
        if any(isinstance(item, Trade | Quote) for item in items):
            self.heard = time.monotonic()
        return items

    def _step(self, items: list[Item]) -> None:
        """All that follows from what came, and from the time."""
        rows, book = self.rows, self.book
        rows.put(items)
        ticks = rows.close_until(self.feed.now())
        if ticks or rows.letters:
            self._send(ticks)
            received = max((item.received for item in items if isinstance(item, Trade)), default=0)
            if ticks and received:
                self.latencies.add(time.time_ns() - received)
        if book.training:
            book.settle()
        if time.monotonic() - self._saved > self.plan.snapshot_seconds and not self._saver.busy:
            self._save()
        if self._teller.due():
            self._teller.show(self.state())
        if self._alerting is not None and time.monotonic() - self._looked >= 1.0:
            self._looked = time.monotonic()
            self._alerting.look(facts_of(self))

    def _send(self, ticks: list[Ticks]) -> None:
        rows = self.rows
        letters, rows.letters = rows.letters, []
        self.rejected.update(letter.reason for letter in letters)
        self.book.rows(ticks, rows.mark, letters)

    def _beat(self) -> None:
        """A heartbeat row, after all rows that are finished."""
        rows = self.rows
        now = self.feed.now()
        ticks = rows.close_until(now)
        self._send([*ticks, rows.heartbeat(now)])

    def _save(self) -> None:
        """Store the state, off this thread."""
        self._see_stored()
        self._saved = time.monotonic()
        self._saver.save(self.book.begin_save())

    def _see_stored(self) -> None:
        """Take note of what became of the last write."""
        if trouble := self._saver.trouble():
            self._teller.say(trouble)
        self.stored = trouble == ""

    # How it ends

    def _end(self, book: LiveBook) -> None:
        """Bring everything to disk, and close the book; the same command goes on all the same."""
        self._save()
        self._saver.wait()
        self._see_stored()
        book.close()
        rejected = dict(self.rejected)
        add_info(self._folder, finished=True, seconds=book.seconds, rejected=rejected)


def _there(part: T | None) -> T:
    if part is None:
        raise RunError("the session has no book yet: wait until the exchange has sent a price")
    return part


def _price(items: list[Item]) -> float:
    """The first price among items, 0 where there is none."""
    for item in items:
        if isinstance(item, Trade):
            return item.price
        if isinstance(item, Quote):
            return (item.bid + item.ask) / 2
    return 0.0
