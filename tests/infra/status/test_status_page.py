"""What status makes of summaries: books however silent, what stopped, what nobody runs; each with what to do."""

import dataclasses
import io
from typing import Any

import msgspec
import pytest
from rich.console import Console

from windvane.infra.kafka.broker.groups import Group
from windvane.infra.kafka.broker.summaries import BooksPart, Removed, Summaries, Told, WorkerSummary
from windvane.infra.status import troubles
from windvane.infra.status.books import Book, books_of
from windvane.infra.status.page import one_book, page
from windvane.infra.status.status import Status
from windvane.infra.status.troubles import Limits, with_troubles
from windvane.infra.status.workers import waiting_records, workers_of
from windvane.streams.summaries import BookSummary, Opening, Trading

NOW = 1_700_000_000.0
AGENTS = ("vol_trend", "buy_and_hold")
OPENING = Opening("d" * 64, "BTCUSD", AGENTS, "timed", 1e6)
TRADING = Trading("active", 3, "resume", 90, 2, "", 0.5, 1e6, -10.0, 1)


@dataclasses.dataclass
class Stage:
    """What one worker tells."""

    name: str
    rows: dict[str, int]
    agents: tuple[str, ...] = ()
    age: float = 1.0
    row_age: int = 5
    pid: int = 7
    closed: tuple[str, ...] = ()
    trading: Trading | None = None
    reached: int = 0
    remote: tuple[str, ...] = ()
    phase: str = "working"
    troubles: dict[str, tuple[str, str]] = dataclasses.field(default_factory=dict)

    def told(self) -> Told:
        stage = self.name.partition(".")[0]
        worker = WorkerSummary(
            at=NOW - self.age, name=self.name, stage=stage, agents=self.agents, partition=0, version="1", code="c" * 16,
            host="h", pid=self.pid, listens="127.0.0.1:6066", phase=self.phase, positions={"ticks": 10},
        )  # fmt: skip
        books = [
            BookSummary(
                b,
                "k",
                n,
                max(n, self.reached),
                1,
                b in self.closed,
                None if b in self.closed else self.trading,
            )
            for b, n in self.rows.items()
        ]
        at = [int(NOW) - self.row_age if n else 0 for n in self.rows.values()]
        part = BooksPart(
            at=NOW,
            openings={"k": msgspec.structs.replace(OPENING, remote=self.remote)},
            books=books,
            row_at=at,
            troubles=self.troubles,
        )
        return Told(worker, [part])


def summaries(*stages: Stage, removed: tuple[str, ...] = ()) -> Summaries:
    gone = {book: Removed(at=NOW, book=book) for book in removed}
    return Summaries({(stage.name, 0): stage.told() for stage in stages}, gone)


def whole(rows: int, **changes: Any) -> list[Stage]:
    """All stages with one book."""
    return [
        Stage("features", {"a": rows}),
        Stage("proposals.1", {"a": rows}, AGENTS),
        Stage("feedback", {"a": rows}),
        Stage("ensemble", {"a": rows}, trading=msgspec.structs.replace(TRADING, **changes)),
    ]


def group(stage: str, lag: int = 0, members: int = 1, spares: int = 0) -> Group:
    return Group(name=f"p.{stage}", stage=stage, members=members, spares=spares, programs=[], lag=lag)


GROUPS = [group(stage) for stage in ("features", "proposals", "feedback", "ensemble")]


def status(found: Summaries, groups: list[Group] = GROUPS, limits: Limits = Limits()) -> Status:  # noqa: B008
    books = {name: with_troubles(book, limits) for name, book in books_of(found, NOW).items()}
    workers = workers_of(found, NOW)
    said = [
        *troubles.of_books(books.values()),
        *troubles.of_workers(workers, groups),
        *troubles.of_groups(groups, limits),
        *troubles.of_stages(books.values(), workers, groups, waiting_records(found, {("ticks", 0): 25})),
    ]
    return Status(
        prefix="p", bootstrap="b:1", time=NOW, books=books, workers=workers, groups=groups, orders=0, dead_letters=0,
        last_dead_letter=None, last_dead_letter_age=None, troubles=said,
    )  # fmt: skip


def text(found: Status, most: int | None = 20) -> str:
    out = io.StringIO()
    Console(file=out, width=200).print(page(found, most))
    return out.getvalue()


def book(found: Status, name: str = "a") -> Book:
    return found.books[name]


def test_a_healthy_book_has_no_trouble() -> None:
    found = status(summaries(*whole(100)))
    one = book(found)
    assert (one.rows, one.ticks, one.features, one.proposals, one.behind) == (100,) * 4 + (0,)
    assert (one.state, one.model, one.row_age, one.symbol, one.agents) == (
        "active",
        "own",
        5.0,
        "BTCUSD",
        AGENTS,
    )
    assert one.last_control is not None
    assert (one.last_control.number, one.last_control.action, one.last_control.row) == (3, "resume", 90)
    assert (len(one.verdicts or []), found.troubles) == (1, [])
    assert "healthy" in text(found)
    assert "3 resume at row 90" in text(found)


def test_nothing_is_ever_behind_by_less_than_nothing() -> None:
    """The ensemble told a moment later than the features stage."""
    stages = whole(100)
    stages[3].rows = {"a": 380}
    assert book(status(summaries(*stages))).behind == 0


def test_a_book_that_never_had_a_row_says_never() -> None:
    found = status(summaries(*whole(0)))
    assert book(found).row_age is None
    assert "never" in text(found)
    assert "- ago" not in text(found)


@pytest.mark.parametrize("state", ["halted", "flattening"])
def test_a_halt_is_told_with_what_to_do(state: str) -> None:
    found = status(summaries(*whole(100, state=state)))
    assert found.troubles == [
        "book a is halted, last control 3: find out why, then `windvane control resume --book a`"
    ]
    assert book(found).troubles[0].code == "halted"
    assert "! a" in text(found)


def test_silence_and_rows_without_a_decision() -> None:
    stages = whole(100)
    stages[0].row_age, stages[0].rows = 3600, {"a": 150}
    stages[1].rows = {"a": 120}
    found = status(summaries(*stages))
    assert [trouble.code for trouble in book(found).troubles] == ["silent", "undecided"]
    assert "`windvane books close a`" in found.troubles[0]
    assert found.troubles[1].endswith("look at the workers of stage proposals, whose answers are missing")
    late = status(summaries(*stages), limits=Limits(silence=1e6, behind=49))
    assert "are 50 rows behind its ticks" in late.troubles[0]


def test_rows_beyond_a_hole_are_behind() -> None:
    stages = whole(100)
    stages[0].reached = 400
    assert book(status(summaries(*stages))).behind == 300


def test_what_workers_say_of_books_is_passed_on() -> None:
    stages = whole(100)
    stages[0].troubles = {"a": ("hole", "book a lacks rows 7 to 9: send them")}
    assert status(summaries(*stages)).troubles == ["book a lacks rows 7 to 9: send them"]


def test_many_books_with_one_trouble_share_a_sentence() -> None:
    names = [f"b{k}" for k in range(12)]
    stages = [
        Stage("features", dict.fromkeys(names, 5)),
        Stage("proposals.1", dict.fromkeys(names, 5), AGENTS),
    ]
    halted = msgspec.structs.replace(TRADING, state="halted")
    stages += [Stage("feedback", {}), Stage("ensemble", dict.fromkeys(names, 5), trading=halted)]
    found = status(summaries(*stages))
    assert found.troubles == [
        "12 books are halted (b0, b1, b10 and 9 more): find out why, then `windvane control resume --book NAME` each"
    ]
    assert "12 books: 12 halted; 12 with troubles" in text(found, 5)
    assert "and 7 more: --all shows every one" in text(found, 5)
    assert "more: --all" not in text(found, None)


class TestWorkers:
    def test_one_that_has_stopped_telling(self) -> None:
        stages = whole(100)
        stages[0].age = 31
        found = status(summaries(*stages))
        (said,) = found.troubles
        assert said.startswith("worker 7 of features on h has told nothing for 31 s: ")
        assert found.workers[1].silent
        assert "silent" in text(found)

    def test_a_stage_that_nobody_runs_and_what_waits_for_it(self) -> None:
        stages = whole(100)
        stages[0].age = 3600
        found = status(summaries(*stages), GROUPS[1:])
        waits = "no worker of stage features is running, and 15 records wait for it: start `windvane worker features`"
        assert found.troubles == [f"{waits}, or all with `windvane up`"]

    def test_one_that_was_stopped_is_no_worker(self) -> None:
        stages = whole(100)
        stages[0].phase = "stopped"
        assert all(worker.stage != "features" for worker in status(summaries(*stages)).workers)

    def test_a_group_that_is_no_more_is_passed_over(self) -> None:
        """Its agents are run by others now; where they are not, somebody has to know."""
        old = Stage("proposals.0", {"a": 20}, ("vol_trend",), age=9999)
        found = status(summaries(old, *whole(100)))
        assert (found.troubles, book(found).proposals) == ([], 100)
        assert [worker.name for worker in found.workers if worker.stage == "proposals"] == ["proposals.1"]
        lone = Stage("proposals.0", {"a": 20}, ("ema_momentum",), age=9999)
        assert (
            "worker 7 of proposals.0 on h has told nothing"
            in status(summaries(lone, *whole(100))).troubles[0]
        )

    def test_agents_that_nobody_runs(self) -> None:
        stages = whole(100)
        stages[1].agents = ("vol_trend",)
        found = status(summaries(*stages))
        start = "start `windvane worker proposals:buy_and_hold`"
        assert found.troubles == [
            f"nobody runs buy_and_hold of open books, so their rows are not decided: {start}"
        ]

    def test_remote_agents_are_run_by_no_worker_and_missed_by_nobody(self) -> None:
        stages = whole(100)
        for stage in stages:
            stage.remote = ("buy_and_hold",)
        stages[1].agents = ("vol_trend",)
        found = status(summaries(*stages))
        assert (found.troubles, book(found).proposals) == ([], 100)

    def test_spare_workers_are_shown(self) -> None:
        found = status(summaries(*whole(1)), [*GROUPS[:3], group("ensemble", members=5, spares=1)])
        assert "1 of 5 worker has no partition in p.ensemble" in text(found)
        assert found.troubles == []

    def test_a_group_that_is_far_behind(self) -> None:
        found = status(summaries(*whole(1)), [*GROUPS[:3], group("ensemble", lag=20_000)])
        assert found.troubles[0].startswith("the workers of p.ensemble are 20,000 records behind: ")


def test_closed_books_are_counted_and_those_taken_out_are_not_there() -> None:
    stages = whole(100)
    for stage in stages:
        stage.rows |= {"b": 40, "c": 60}
        stage.closed = ("b", "c")
    found = status(summaries(*stages, removed=("c", "a")))
    assert set(found.books) == {"a", "b"}
    assert (book(found, "b").state, book(found, "b").rows, book(found, "b").closed) == ("closed", 40, True)
    assert found.troubles == []
    assert "2 books: 1 active, 1 closed; none with troubles" in text(found)


def test_details_of_one_book() -> None:
    out = io.StringIO()
    found = status(summaries(*whole(100, state="halted")))
    Console(file=out, width=160).print(one_book(book(found), ["weights       vol_trend 0.70"]))
    for part in (
        "ticks 100, features 100, proposals 100, decisions 100",
        "d" * 64,
        "vol_trend 0.70",
        "! book a is",
    ):
        assert part in out.getvalue()
