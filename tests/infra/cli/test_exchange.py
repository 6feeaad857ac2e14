"""`windvane exchange` as a process of its own, and what it refuses."""

from __future__ import annotations

import asyncio
import gzip
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cli_harness import refusal, windvane
from feed_harness import FIRST_ID, START, capture, check, read

from windvane.infra.exchange.capture import load
from windvane.infra.exchange.server import LocalExchange
from windvane.infra.feeds.feed import Quote
from windvane.infra.feeds.opening import open_feed
from windvane.infra.feeds.recording import Head, Recorder


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """A capture of trades and quotes as a recorder writes it, 1.3 s behind, with depth in between."""
    whole = capture(seconds=30)
    n = len(whole.trades.id)
    received = whole.at[::2] - 1_300_000_000
    trades = pd.DataFrame(
        {"recv_ns": received, "exch_ms": whole.trades.ms, "kind": "trade", "id": whole.trades.id}
    ).assign(side=np.where(whole.trades.buyer, "B", "S"), price=whole.trades.price, qty=whole.trades.qty)
    parts = [trades]
    for side, k in (("B", 0), ("S", 2)):
        quotes = {"recv_ns": received, "exch_ms": whole.quotes.ms, "kind": "quote", "id": whole.quotes.update}
        values = whole.quotes.values
        parts.append(pd.DataFrame(quotes).assign(side=side, price=values[:, k], qty=values[:, k + 1]))
    parts.append(parts[0].assign(kind="depth"))
    frame = pd.concat(parts).assign(place=np.tile(np.arange(n), 4)).sort_values("place", kind="stable")
    path = tmp_path / "book.parquet"
    frame.drop(columns="place").to_parquet(path)
    return path


def test_a_process_serves_a_capture_again_and_again_with_faults(book: Path, tmp_path: Path) -> None:
    faults = tmp_path / "faults.jsonl"
    faults.write_text('# a comment\n{"at":0.5,"do":"garbage","count":2}\n\n{"at":1.0,"do":"lose"}\n')
    words = [str(book), "--port", "0", "--speed", "40x", "--begin", "5", "--loop", "--faults", str(faults)]
    process = subprocess.Popen(
        [sys.executable, "-m", "windvane", "exchange", *words],
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline().split()
        assert line[:3] == ["binanceusdm", "BTCUSDT", "at"]

        async def work() -> None:
            feed = open_feed("binanceusdm", "BTC/USDT:USDT", line[3])
            await feed.open()
            got = await read(feed, lambda r: len(r.ids) > 1500, 30)
            await feed.close()
            assert got.ids == list(range(got.ids[0], got.ids[-1] + 1))
            assert got.ids[0] > FIRST_ID + 100
            assert got.ids[-1] > FIRST_ID + 600, "the second round goes on with its ids"
            assert feed.counts.garbage == 4
            assert feed.counts.fetched == 1

        asyncio.run(work())
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_recording_is_served_as_it_was_recorded(book: Path, tmp_path: Path) -> None:
    path = tmp_path / "frames.jsonl.gz"

    async def record() -> None:
        async with LocalExchange(load([book]), speed=10) as exchange:
            feed = open_feed("binanceusdm", "BTCUSDT", exchange.url)
            market = await feed.open()
            head = Head(market.exchange, market.native, market.base, market.quote, feed.offset)
            recorder = Recorder(path, head, 100_000)
            feed.record(recorder.frame)  # type: ignore[attr-defined]
            await read(feed, lambda r: len(r.ids) > 300)
            await feed.close()
            recorder.close()

    async def replay() -> None:
        whole = load([book])
        async with LocalExchange(load([path]), speed=10) as exchange:
            feed = open_feed("binanceusdm", "BTCUSDT", exchange.url)
            await feed.open()
            got = await read(feed, lambda r: len(r.ids) > 100 and len(r.of(Quote)) > 100)
            await feed.close()
        check(got, whole)

    asyncio.run(record())
    asyncio.run(replay())
    with gzip.open(path) as stream:
        assert stream.readline().startswith(b'{"exchange":"binanceusdm","native":"BTCUSDT"')


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["none.parquet"], "is no file"),
        (["BOOK", "--speed", "fast"], "give a number of times such as 1x"),
        (["BOOK", "--speed", "0"], "up to 1000"),
        (["BOOK", "--begin", "90"], "the capture is 30 s long"),
        (["BOOK", "--faults", "seed:x"], "a whole number, or a file"),
        (["BOOK", "--faults", "none.jsonl"], "which is no file"),
        (["BOOK", "--faults", "BAD"], "line 1"),
        (["BOOK", "BOOK"], "parts of one recording"),
        (["OTHER"], "a capture has ts, agg_id"),
        (["GZ"], "is no recording"),
        (["TEXT"], "cannot be read as parquet"),
    ],
)
def test_what_cannot_be_served_is_one_sentence(
    words: list[str], sentence: str, book: Path, tmp_path: Path
) -> None:
    given = {"BOOK": book, "BAD": tmp_path / "bad.jsonl", "OTHER": tmp_path / "other.parquet"}
    given |= {"GZ": tmp_path / "x.gz", "TEXT": tmp_path / "text.parquet"}
    given["BAD"].write_text('{"at":1,"do":"explode"}\n')
    given["TEXT"].write_text("no parquet")
    given["GZ"].write_bytes(gzip.compress(b"{}\n"))
    pd.DataFrame({"a": [1]}).to_parquet(given["OTHER"])
    assert sentence in refusal(windvane("exchange", *[given.get(word, word) for word in words]))


def test_times_of_a_capture_are_those_of_the_exchange(book: Path) -> None:
    whole = load([book])
    assert abs(int(whole.at[0]) - START) < 2_000_000
    assert (np.diff(whole.at) >= 0).all()
    assert len(whole.at) == 2 * len(whole.trades.id)
