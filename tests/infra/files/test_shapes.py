"""Tables without names for their columns: what interfaces answer, and what cannot be told."""

import json

import pytest
from market_tables import MARKET, PRINTS, Bar, are_the_prints, day, is_the_market, lines, read

from windvane.infra.files.candles import CANDLES
from windvane.infra.files.errors import InputError
from windvane.infra.files.shapes import HEADLESS


def word(trade):
    return "Buy" if trade.bought else "Sell"


ORDERS = {
    "coinbase": (
        "candles in the order of Coinbase's interface",
        lambda b: [b.t, b.low, b.high, b.open, b.close, b.volume],
    ),
    "kucoin": (
        "candles in the order of KuCoin's and Bitfinex's interfaces",
        lambda b: [str(x) for x in (b.t, b.open, b.close, b.high, b.low, b.volume, b.turnover)],
    ),
    "bitfinex": (
        "candles in the order of KuCoin's and Bitfinex's interfaces",
        lambda b: [b.t * 1000, b.open, b.close, b.high, b.low, b.volume],
    ),
    "kraken": (
        "candles in the order of Kraken's and OKX's interfaces",
        lambda b: [b.t, *(str(x) for x in (b.open, b.high, b.low, b.close, b.average, b.volume)), b.count],
    ),
    "kraken's dump": (
        "bars without a header",
        lambda b: [b.t, b.open, b.high, b.low, b.close, b.volume, b.count],
    ),
    "gate": (
        "candles in the order of Gate's interface",
        lambda b: [str(x) for x in (b.t, b.turnover, b.close, b.high, b.low, b.open, b.volume)] + ["true"],
    ),
    "bybit": (
        "bars without a header",
        lambda b: [str(x) for x in (b.t * 1000, b.open, b.high, b.low, b.close, b.volume, b.turnover)],
    ),
    "okx, contracts": (
        "candles in the order of Kraken's and OKX's interfaces",
        lambda b: [
            str(x)
            for x in (b.t * 1000, b.open, b.high, b.low, b.close, b.volume * 100, b.volume, b.turnover, 1)
        ],
    ),
}


@pytest.mark.parametrize("vendor", ORDERS)
@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("wrapped", [False, True])
def test_candles_without_names(tmp_path, vendor, newest_first, wrapped):
    name, form = ORDERS[vendor]
    rows = [form(bar) for bar in MARKET][:: -1 if newest_first else 1]
    value = {"code": "0", "result": {"XXBTZUSD": rows, "last": 1}} if wrapped else rows
    found = read(tmp_path, "x.json", json.dumps(value))
    assert found.format == name
    is_the_market(found)


def test_an_order_that_nobody_writes_is_found_as_well(tmp_path):
    rows = [[b.close, b.volume, b.low, b.t, b.open, b.high] for b in MARKET]
    found = read(tmp_path, "x.json", json.dumps(rows))
    assert found.format == "candles in the order close, volume, low, ts, open, high"
    is_the_market(found)


def still(bar: Bar) -> list[float]:
    """A candle whose open and close cannot be told apart."""
    return [bar.t, 9.0, 12.0, 10.0, 11.0, 5.0]


def test_where_two_orders_fit_both_are_named(tmp_path):
    with pytest.raises(InputError, match=r"more than one order of its columns fits") as error:
        read(tmp_path, "x.json", json.dumps([still(bar) for bar in MARKET]))
    assert "--columns ts,low,high,open,close,-" in str(error.value)
    assert "--columns ts,low,high,close,open,-" in str(error.value)
    found = read(
        tmp_path, "x.json", json.dumps([still(b) for b in MARKET]), columns="ts,low,high,open,close,volume"
    )
    assert found.columns.price.tolist() == [11.0] * len(MARKET)


def test_days_and_times_of_day_without_names(tmp_path):
    for name, order in (("oldest first", 1), ("newest first", -1)):
        text = lines(
            None,
            MARKET[::order],
            lambda b: (
                f"{day(b, '%Y.%m.%d,%H:%M')},{b.open},{b.high},{b.low},{b.close},{b.volume}"
            ),
            "\r\n",
        )  # fmt: skip
        found = read(tmp_path, "x.csv", text)
        is_the_market(found), name


PRINTED = {
    "freqtrade": lambda p: [p.t, str(p.id), None, word(p).lower(), p.price, p.size, p.price * p.size],
    "kraken": lambda p: [str(p.price), str(p.size), p.t / 1000, word(p)[0].lower(), "l", "", p.id],
    "bitfinex": lambda p: [1_500_000_000 + p.id, p.t, p.size if p.bought else -p.size, p.price],
    "plain": lambda p: [p.t, p.price, p.size, word(p)],
    "size first": lambda p: [p.t, p.size, p.price, word(p)],
}


@pytest.mark.parametrize("vendor", PRINTED)
def test_trades_without_names(tmp_path, vendor):
    are_the_prints(read(tmp_path, "x.json", json.dumps([PRINTED[vendor](one) for one in PRINTS])))


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (lambda p: [p.price, p.size, p.id], "none of them holds times"),
        (lambda p: [p.t, p.price, p.price + 1, word(p)], "which column is the price and which the size is in doubt"),
        (lambda p: [p.t, p.size], "what they are is not known"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_refused_with_the_option_that_says_it(tmp_path, row, why):
    with pytest.raises(InputError, match=why) as error:
        read(tmp_path, "x.json", json.dumps([row(one) for one in PRINTS]))
    assert "--columns " in str(error.value)


def test_no_layout_of_the_tables_is_without_a_file():
    assert {known.name for known in HEADLESS} == {"Binance klines", "Binance aggTrades", "Binance trades"}
    assert set(CANDLES) == {name for name, _ in ORDERS.values()}
