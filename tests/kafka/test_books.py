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
from windvane.infra.kafka.tools import book_ends
from windvane.metamodel.base.config import digest


def where(settings: KafkaSettings) -> tuple[str, ...]:
    return ("--bootstrap", settings.bootstrap, "--prefix", settings.prefix)


def test_a_book_is_closed_and_taken_out_of_the_lists(
    topics: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(book_ends, "_BUSY_SECONDS", 0.0)
    one, other = MANY[:2]

    async def run() -> None:
        async with inside(topics, tmp_path, FEW) as running:
            await rows(topics, [one, other], 0, 30)
            await until(
                running, topics, lambda s: {b.rows for b in s.books.values()} == {30} and len(s.books) == 2
            )
            assert [(b["book"], b["rows"], b["closed"]) for b in await listed()] == [
                (one, 30, False),
                (other, 30, False),
            ]
            said = refusal(await do("remove", one, "--yes"))
            assert said.startswith(f"book {one} is open in ensemble, features, feedback, proposals")
            assert "give --yes where nobody can be asked" in refusal(await do("close", one))
            await rows(topics, [one], 30, 40)  # some of them no worker may have read when the book is closed
            closed = await do("close", one, "--yes")
            assert (closed.code, closed.out) == (0, "")
            assert f"book {one} ends after 40 rows" in closed.err
            await until(running, topics, lambda s: s.books[one].state == "closed" and s.books[one].rows == 40)
            assert "is closed already" in refusal(await do("close", one, "--yes"))
            assert [b["state"] for b in await listed()] == ["closed", "active"]
            assert (await do("remove", one, "--yes")).code == 0
            (left,) = await listed()
            assert left["book"] == other
            assert left["digest"] == digest(config(agents=("vol_trend", "buy_and_hold")))
            assert (left["symbol"], left["agents"]) == ("BTCUSD", ["vol_trend", "buy_and_hold"])
            status = await until(running, topics, lambda s: True)
            assert set(status.books) == {other}

    async def do(*words: object) -> Any:
        return await asyncio.to_thread(windvane, "books", *words, *where(topics))

    async def listed() -> list[dict[str, Any]]:
        ran = await do("list", "--json")
        assert ran.code == 0
        return list(json.loads(ran.out))

    asyncio.run(run())
    shown = windvane("books", "list", *where(topics)).out.splitlines()
    assert shown[0].split() == ["book", "state", "rows", "symbol", "settings", "agents"]
    assert shown[1].split()[:3] == [other, "active", "30"]


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
