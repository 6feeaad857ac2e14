"""The small parts of a session: latencies, terms of an exchange, the status line, what is stored off the loop."""

from __future__ import annotations

import io
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from live_items import MARKET

from windvane.infra.feeds.errors import FeedError
from windvane.infra.feeds.opening import open_feed
from windvane.infra.live.latency import Latencies
from windvane.infra.live.raw import recordable
from windvane.infra.live.saving import Saver
from windvane.infra.live.telling import Teller, line
from windvane.infra.live.venue import LEAST_SHARE, terms_of
from windvane.metamodel.base.config import ConfigError


@given(st.lists(st.integers(1_000, 10_000_000_000), min_size=1, max_size=200), st.floats(0.01, 1.0))
def test_a_percentile_is_right_to_two_percent(ns: list[int], share: float) -> None:
    latencies = Latencies()
    for each in ns:
        latencies.add(each)
    wanted = float(np.quantile(np.array(ns) / 1e3, share, method="inverted_cdf"))
    got = latencies.percentile(share)
    assert got is not None
    assert wanted * 0.999 <= got <= wanted * 1.021
    again = Latencies(latencies.counts.copy())
    assert again.told() == latencies.told()


def test_no_latency_is_none() -> None:
    assert Latencies().told() is None


def test_terms_are_those_of_the_exchange_unless_a_person_says_otherwise() -> None:
    terms = terms_of(MARKET, 60_000.0, None, None, None)
    assert (terms.fee_bp, terms.lot) == (MARKET.taker_bp, MARKET.lot)
    assert terms.least == max(MARKET.least_notional, MARKET.least_qty * 60_000.0)
    assert terms.min_order(1e6) == LEAST_SHARE
    other = terms_of(MARKET, 60_000.0, 0.0, 0.01, 50.0)
    assert (other.fee_bp, other.lot, other.least) == (0.0, 0.01, 50.0)
    assert other.min_order(1000.0) == 0.05
    with pytest.raises(ConfigError, match="give more"):
        other.min_order(50.0)


STATE: dict[str, Any] = {
    "symbol": "BTC/USDT",
    "price": 61_234.5,
    "state": "active",
    "warming_up": False,
    "qty": -0.25,
    "position": -0.5,
    "equity": 1_000_100.0,
    "pnl": 100.0,
    "perpetual": True,
    "age_seconds": 0.4,
    "rows": 1234,
    "last_order": None,
}


def test_the_status_line_has_what_a_person_looks_for() -> None:
    told = line(STATE)
    for text in (
        "61,234.50",
        "paper",
        "active",
        "-0.25 (-50.0%)",
        "+100.00, no funding",
        "0.4 s old",
        "no order yet",
    ):
        assert text in told
    order = {"side": "sell", "qty": 0.25, "price": 61_000.0}
    assert "last order sell 0.25 at 61,000.00" in line(STATE | {"last_order": order})


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_has_one_line_and_a_file_has_lines() -> None:
    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        teller = Teller(stream)
        assert teller.due()
        assert not teller.due()
        teller.show(STATE)
        teller.show(STATE | {"price": 1.0})
        teller.say("a sentence")
    assert terminal.getvalue().count("\n") == 1
    assert file.getvalue().count("\n") == 3
    assert terminal.getvalue().split("\r")[-1].strip() == "a sentence"


def test_a_disk_that_refuses_is_told_of_once_and_tried_again() -> None:
    saver, written = Saver(), threading.Event()

    def refuse() -> None:
        raise OSError(28, "No space left on device")

    saver.save(refuse)
    saver.wait()
    assert "No space left on device" in saver.trouble()
    assert saver.trouble() == ""
    saver.save(written.set)
    saver.close()
    assert written.is_set()
    assert not saver.busy


def test_frames_of_ccxt_cannot_be_recorded() -> None:
    with pytest.raises(FeedError, match="leave it out"):
        recordable(open_feed("kraken", "BTC/USD"))
    assert recordable(open_feed("binance", "BTCUSDT"))
