"""A session beside the exchange: equal where nothing was lost, and each difference told where something was."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
import pytest
from cli_harness import refusal, windvane
from feed_harness import capture
from live_items import MARKET, Played
from test_live_rows import of_capture

from windvane.infra.exchange.server import LocalExchange
from windvane.infra.feeds.feed import Gap, Item, Trade
from windvane.infra.live.rows import LiveRows
from windvane.infra.runs.journal import JournalWriter
from windvane.metamodel.base.config import TradingConfig, digest
from windvane.streams.events import BookOpened, Ticks
from windvane.streams.topics import TICKS

SECOND, MINUTE = 1_000_000_000, 60_000_000_000
WHOLE = capture("binance", seconds=600)
PERPETUAL = capture("binanceusdm", seconds=600)


def session(
    folder: Path, interval: int, items: list[Item], exchange: str = "binance", first_live: int = 0
) -> Path:
    """The folder of a live session that saw these items."""
    played = Played(LiveRows(MARKET, interval or None, "live"))
    for start in range(0, len(items), 500):
        played.put(items[start : start + 500])
        played.events.append(played.rows.heartbeat(played.now))
    config = TradingConfig(agents=("buy_and_hold",), interval=interval)
    with JournalWriter(folder / "journal") as journal:
        journal.write(TICKS, BookOpened(book="live", config=config, digest=digest(config)))
        for event in played.events:
            journal.write(TICKS, event)
    info = {
        "finished": True, "file": "", "kind": "real", "bars": "", "preset": "", "rejected": {}, "notes": [],
        "full": False, "live": [exchange, "BTC/USDT", ""], "first_live": first_live,
    }  # fmt: skip
    (folder / "journal" / "run.json").write_text(json.dumps(info))
    return folder


@contextmanager
def served(exchange: str = "binance") -> Iterator[str]:
    """A local exchange at the end of its capture, in a thread, since commands have a loop of their own."""
    ready, stop, url = threading.Event(), threading.Event(), []

    async def serve() -> None:
        async with LocalExchange(
            WHOLE if exchange == "binance" else PERPETUAL, begin=599.0, speed=20
        ) as local:
            url.append(local.url)
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(20)
    try:
        yield url[0]
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize(
    ("exchange", "interval", "first_live"),
    [
        ("binance", MINUTE, 0),
        ("binance", SECOND, 5),
        ("binanceusdm", SECOND, 0),  # which publishes no bars of a second
        ("binance", 0, 0),
    ],
)
def test_bars_of_all_trades_are_the_exchanges(
    tmp_path: Path, exchange: str, interval: int, first_live: int
) -> None:
    items = of_capture(WHOLE)[300:]  # it began within a bar
    out = session(tmp_path, interval, items, exchange, first_live)
    with served(exchange) as url:
        ran = windvane("verify", out, "--endpoint", url)
    assert ran.code == 0, ran
    assert "all are the same" in ran.out
    assert int(ran.out.split()[0].replace(",", "")) > 5


def test_what_differs_is_told_and_is_exit_code_1(tmp_path: Path) -> None:
    items = of_capture(WHOLE)
    trades = [k for k, item in enumerate(items) if isinstance(item, Trade)]
    lost, bent = trades[4_000], trades[7_999]  # the last of a minute
    late = items[bent]
    assert isinstance(late, Trade)
    items[bent] = msgspec.structs.replace(late, price=late.price + 5.0)
    del items[lost]
    with served() as url:
        ran = windvane("verify", session(tmp_path, MINUTE, items), "--endpoint", url, "--json")
        table = windvane("verify", tmp_path, "--endpoint", url)
    assert (ran.code, table.code) == (1, 1), ran
    verdict = json.loads(ran.out)
    assert {each["what"] for each in verdict["differences"]} >= {"size", "price"}
    assert "differ" in table.out.splitlines()[-1]
    assert len(table.out.splitlines()) == len(verdict["differences"]) + 2


def test_bars_beside_a_declared_gap_are_left_out(tmp_path: Path) -> None:
    items = of_capture(WHOLE)
    trades = [k for k, item in enumerate(items) if isinstance(item, Trade)]
    first, last = items[trades[3_000]], items[trades[6_000]]
    assert isinstance(first, Trade)
    assert isinstance(last, Trade)
    gap = Gap(first.id, last.id, first.ts, last.ts, "lost")
    holed = [*items[: trades[3_000]], gap, *items[trades[6_000] + 1 :]]
    with served() as url:
        ran = windvane("verify", session(tmp_path, MINUTE, holed), "--endpoint", url)
    assert ran.code == 0, ran
    assert "4 beside declared gaps" in ran.out


def test_a_bar_that_only_one_of_the_two_has_is_told(tmp_path: Path) -> None:
    one = np.full(1, 1_700_000_040 * SECOND, np.int64)
    whole = [one + k * MINUTE for k in (0, 1, 3)]
    rows = [
        Ticks(book="live", seq=one * 0 + k, ts=ts, flags=one * 0, price=np.ones(1))
        for k, ts in enumerate(whole)
    ]
    out = session(tmp_path, MINUTE, of_capture(WHOLE)[:10])
    with JournalWriter(out / "journal", len((out / "journal" / "events.wvj").read_bytes())) as journal:
        for row in rows:
            journal.write(TICKS, row)
    with served() as url:
        told = json.loads(windvane("verify", out, "--endpoint", url, "--json").out)["differences"]
    assert {each["what"] for each in told} == {"price", "missing"}


def test_what_is_no_session_or_too_short_is_refused(tmp_path: Path) -> None:
    out = session(tmp_path, MINUTE, of_capture(WHOLE)[:10])
    with served() as url:
        assert "let it run for longer" in refusal(windvane("verify", out, "--endpoint", url))
    info = json.loads((out / "journal" / "run.json").read_text())
    (out / "journal" / "run.json").write_text(json.dumps({**info, "live": None}))
    assert "is no live session" in refusal(windvane("verify", out))
    assert "no journal" in refusal(windvane("verify", tmp_path / "none"))
