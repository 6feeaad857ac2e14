"""windvane books on a real broker: all books are listed, one is closed as by its feed, and taken out of the lists."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from cli_harness import refusal, windvane
from running import inside
from test_summaries import FEW, MANY, rows, until

from simulated_book import config
from windvane.infra.kafka.broker.settings import KafkaSettings
from windvane.infra.kafka.tools.book_ends import BookError, busy, close_book, end_of, remove_book
from windvane.metamodel.base.config import digest


def where(settings: KafkaSettings) -> tuple[str, ...]:
    return ("--bootstrap", settings.bootstrap, "--prefix", settings.prefix)


def test_a_book_is_closed_and_taken_out_of_the_lists(topics: KafkaSettings, tmp_path: Path) -> None:
    one, other = MANY[:2]

    async def run() -> None:
        async with inside(topics, tmp_path, FEW) as running:
            await rows(topics, [one, other], 0, 30)
            await until(
                running, topics, lambda s: {b.rows for b in s.books.values()} == {30} and len(s.books) == 2
            )
            with pytest.raises(
                BookError, match=rf"^book {one} is open in ensemble, features, feedback, proposals"
            ):
                await remove_book(topics, one)
            await rows(topics, [one], 30, 40)  # some of them no worker may have read when the book is closed
            end = await end_of(topics, one)
            assert (end.rows, busy(end)) == (40, True)
            await close_book(topics, end)
            await until(running, topics, lambda s: s.books[one].state == "closed" and s.books[one].rows == 40)
            with pytest.raises(BookError, match="is closed already"):
                await end_of(topics, one)

    asyncio.run(run())
    assert [(b["book"], b["state"], b["rows"]) for b in listed(topics)] == [
        (one, "closed", 40),
        (other, "active", 30),
    ]
    assert "give --yes where nobody can be asked" in refusal(windvane("books", "remove", one, *where(topics)))
    assert windvane("books", "remove", one, "--yes", *where(topics)).code == 0
    (left,) = listed(topics)
    assert left["book"] == other
    assert left["digest"] == digest(config(agents=("vol_trend", "buy_and_hold")))
    assert (left["symbol"], left["agents"]) == ("BTCUSD", ["vol_trend", "buy_and_hold"])
    shown = windvane("books", "list", *where(topics)).out.splitlines()
    assert shown[0].split() == ["book", "state", "rows", "symbol", "settings", "agents"]
    assert shown[1].split()[:3] == [other, "active", "30"]

    async def again() -> None:
        """After a restart the workers leave it out themselves; the other's state says what it said."""
        async with inside(topics, tmp_path, FEW) as running:
            status = await until(running, topics, lambda s: len(s.workers) == 4)
            assert set(status.books) == {other}

    asyncio.run(again())


def listed(settings: KafkaSettings) -> list[dict[str, Any]]:
    ran = windvane("books", "list", "--json", *where(settings))
    assert ran.code == 0
    return list(json.loads(ran.out))


def test_a_book_that_no_worker_has_seen_can_be_closed_and_one_that_is_not_cannot(
    topics: KafkaSettings,
) -> None:
    asyncio.run(rows(topics, ["lone"], 0, 30))
    assert windvane("books", "list", *where(topics)).out == "no worker has told of a book yet\n"
    busy = refusal(windvane("books", "close", "lone", *where(topics)))
    assert "stop its feed first, or give --yes" in busy
    closed = windvane("books", "close", "lone", "--yes", *where(topics))
    assert "ends after 30 rows" in closed.err
    assert "is closed already" in refusal(windvane("books", "close", "lone", "--yes", *where(topics)))
    assert "has no book nobody" in refusal(windvane("books", "close", "nobody", "--yes", *where(topics)))
    assert "no worker has told of a book lone" in refusal(
        windvane("books", "remove", "lone", "--yes", *where(topics))
    )
