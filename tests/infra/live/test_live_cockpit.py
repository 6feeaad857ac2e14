"""The cockpit of a live session: its book on the page, its buttons obeyed at once, and its day after a restart."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import numpy as np
from live_session import market, plan, running

from windvane.infra.cockpit.live_source import LiveSource
from windvane.infra.cockpit.server import Cockpit
from windvane.infra.exchange.server import LocalExchange

WHOLE = market(seconds=60)
TOKEN = "-".join(["a", "token", "of", "the", "tests"])
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


async def shown(url: str, out: Path, rows: int, *pressed: str) -> tuple[list[Any], dict[str, Any], list[int]]:
    """A session with its cockpit until it has so many rows: answers to presses, its state, the rows of its page."""
    source = LiveSource("live")
    async with running(url, out, plan(watch=source.watch)) as live:
        source.session = live.session
        async with Cockpit(source, TOKEN) as cockpit, aiohttp.ClientSession(headers=HEADERS) as client:
            await live.rows(rows)
            answers = []
            for action in pressed:
                press = {"action": action, "book": "live", "by": "ann"}
                async with client.post(f"{cockpit.url}api/control", json=press) as answer:
                    answers.append((answer.status, await answer.json()))
            async with client.get(f"{cockpit.url}api/state") as answer:
                state = (await answer.json())["books"]["live"]
            async with client.get(f"{cockpit.url}api/history?book=live") as answer:
                history = await answer.json()
    return answers, state, history["rows"]["seq"]


def test_a_press_is_obeyed_by_the_row_that_it_makes_and_a_restart_shows_the_rows_before(
    tmp_path: Path,
) -> None:
    async def work() -> None:
        async with LocalExchange(WHOLE, speed=10) as exchange:
            answers, state, seqs = await shown(exchange.url, tmp_path, 30, "halt")
            (status, told) = answers[0]
            assert (status, told["obeyed"], told["number"]) == (200, True, 1)
            assert told["row"] in seqs
            assert state["state"] == "halted"
            assert state["symbol"] == "BTC/USDT:USDT"
            assert 0.0 <= state["age_seconds"] < 10.0
            assert seqs == list(range(len(seqs)))
            _, state, again = await shown(exchange.url, tmp_path, len(seqs) + 10)
            assert again == list(range(len(again)))
            assert len(again) > len(seqs)
            assert state["state"] == "halted"

    asyncio.run(work())


def test_a_book_is_shown_once_it_is_there(tmp_path: Path) -> None:
    source = LiveSource("live")

    async def work() -> None:
        async with (
            LocalExchange(WHOLE, speed=10) as exchange,
            running(exchange.url, tmp_path, plan(watch=source.watch)) as live,
        ):
            source.session = live.session
            assert source.books() == []
            assert source.trouble == "the book opens once the exchange has sent a price"
            await live.rows(5)
            assert source.books() == ["live"]
            assert source.trouble == ""

    asyncio.run(work())


def test_a_page_that_stumbles_stands_still_and_the_book_trades_on(tmp_path: Path) -> None:
    said: list[str] = []
    source = LiveSource("live", said.append)

    async def work() -> None:
        async with (
            LocalExchange(WHOLE, speed=10) as exchange,
            running(exchange.url, tmp_path, plan(watch=source.watch)) as live,
        ):
            source.session = live.session
            await live.rows(5)
            last = live.session.book.decisions
            source.watch(msgspec.structs.replace(last, seq=last.seq + 1, weights=np.zeros((len(last), 2))))
            await live.rows(live.session.book.mark.seq + 20)
            assert len(said) == 1
            assert said[0] == source.trouble
            assert source.trouble.startswith("the page stands still (ValueError(")
            assert source.trouble.endswith("and the book trades on: restart it to see more")
            assert live.session.control("halt", "ann").obeyed

    asyncio.run(work())
