"""Every layout of the table has a small file here, and is read as what it is."""

import json
from pathlib import Path

import pandas as pd
import pytest
from market_tables import MARKET, PRINTS, Trade, are_the_prints, day, is_the_market, lines, read

from windvane.infra.files.candles import CANDLES
from windvane.infra.files.errors import InputError
from windvane.infra.files.layouts import LAYOUTS


def iso(seconds: float) -> str:
    return pd.Timestamp(round(seconds * 1000), unit="ms").isoformat(timespec="milliseconds") + "Z"


BARS = {
    "BitMEX bins": (
        "timestamp,symbol,open,high,low,close,trades,volume,vwap,homeNotional,foreignNotional",
        lambda b: (
            # The open is the close before, and may lie outside of its own bar.
            f"{iso(b.t + 60)},XBTUSD,{b.open + 500},{b.high},{b.low},{b.close},{b.count},{round(b.turnover)},"
            f"{b.average},{b.volume},{b.turnover}"
        ),
    ),
    "CoinAPI bars": (
        "time_period_start,time_period_end,time_open,time_close,price_open,price_high,price_low,price_close,"
        "volume_traded,trades_count",
        lambda b: (
            f"{iso(b.t)},{iso(b.t + 60)},{iso(b.t + 3.2)},{iso(b.t + 58.1)},{b.open},{b.high},{b.low},{b.close},"
            f"{b.volume},{b.count}"
        ),
    ),
    "Huobi candles": (
        "id,open,close,low,high,amount,vol,count",
        lambda b: f"{b.t},{b.open},{b.close},{b.low},{b.high},{b.volume},{b.turnover},{b.count}",
    ),
    "Nautilus bars": (
        "open,high,low,close,volume,ts_event,ts_init",
        lambda b: f"{b.open},{b.high},{b.low},{b.close},{b.volume},{(b.t + 60) * 10**9},{(b.t + 60) * 10**9}",
    ),
    "Databento bars": (
        "ts_event,rtype,publisher_id,instrument_id,open,high,low,close,volume",
        lambda b: f"{b.t * 10**9},33,1,7,{b.open},{b.high},{b.low},{b.close},{b.volume}",
    ),
    "MetaTrader bars": (
        "<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<TICKVOL>,<VOL>,<SPREAD>",
        lambda b: f"{day(b, '%Y.%m.%d,%H:%M:%S')},{b.open},{b.high},{b.low},{b.close},{b.count},{b.volume},12",
    ),
    "Poloniex candles": (
        "date,high,low,open,close,volume,quoteVolume,weightedAverage",
        lambda b: f"{b.t},{b.high},{b.low},{b.open},{b.close},{b.turnover},{b.volume},{b.average}",
    ),
    "Investing.com prices": (
        "Date,Price,Open,High,Low,Vol.,Change %",
        lambda b: f"{day(b, '%d.%m.%Y %H:%M')},{b.close},{b.open},{b.high},{b.low},{b.volume},0.1%",
    ),
}  # fmt: skip
VALUED = {
    "BitMEX bins": (
        "timestamp,symbol,open,high,low,close,trades,volume,vwap,lastSize,turnover",
        lambda b: f"{iso(b.t + 60)},XBTUSD,{b.open},{b.high},{b.low},{b.close},{b.count},99,{b.average},4,99",
    ),
    "CoinMarketCap bars": (
        "timeOpen,timeClose,timeHigh,name,open,high,low,close,volume,marketCap,timestamp",
        lambda b: (
            f"{iso(b.t)},{iso(b.t + 59.999)},{iso(b.t + 7)},2781,{b.open},{b.high},{b.low},{b.close},9e9,1e12,"
            f"{iso(b.t + 59.999)}"
        ),
    ),
    "MetaTrader bars": (
        "<DATE>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<TICKVOL>,<VOL>,<SPREAD>",
        lambda b: f"{day(b, '%Y.%m.%d %H:%M')},{b.open},{b.high},{b.low},{b.close},{b.count},0,12",
    ),
}
"""Layouts whose volume is none in the coin."""

TRADES = {
    "BitMEX or Bybit trades": (
        "timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,foreignNotional",
        lambda p: f"{iso(p.t / 1000)},XBTUSD,{word(p)},9000,{p.price},PlusTick,a-{p.id},1,{p.size},2",
    ),
    "Databento trades": (
        "ts_recv,ts_event,rtype,action,side,price,size",
        lambda p: f"{p.t * 10**6},{p.t * 10**6},0,T,{'B' if p.bought else 'S'},{p.price},{p.size}",
    ),
    "Tardis trades": (
        "exchange,symbol,timestamp,local_timestamp,id,side,price,amount",
        lambda p: (
            f"deribit,BTC-PERPETUAL,{p.t * 1000},{p.t * 1000 + 7},{p.id},{word(p).lower()},{p.price},{p.size}"
        ),
    ),
    "freqtrade trades": (
        "timestamp,id,type,side,price,amount,cost",
        lambda p: f"{p.t},{p.id},,{word(p).lower()},{p.price},{p.size},{p.price * p.size}",
    ),
}


def word(trade: Trade) -> str:
    return "Buy" if trade.bought else "Sell"


@pytest.mark.parametrize("name", BARS)
def test_bars_with_a_header(tmp_path, name):
    found = read(tmp_path, "x.csv", lines(BARS[name][0], MARKET, BARS[name][1]))
    assert found.format == name
    is_the_market(found)


@pytest.mark.parametrize("name", VALUED)
def test_bars_whose_volume_is_not_in_the_coin(tmp_path, name):
    found = read(tmp_path, "x.csv", lines(VALUED[name][0], MARKET, VALUED[name][1]))
    assert found.format == name
    is_the_market(found, volume=False)


@pytest.mark.parametrize("name", TRADES)
def test_trades_with_a_header(tmp_path, name):
    found = read(tmp_path, "x.csv", lines(TRADES[name][0], PRINTS, TRADES[name][1]))
    assert found.format == name
    are_the_prints(found)


def test_a_side_that_is_the_makers_at_one_vendor_and_the_takers_at_others(tmp_path):
    text = lines(
        "time,trade_id,price,size,side",
        PRINTS,
        lambda p: f"{iso(p.t / 1000)},{p.id},{p.price},{p.size},{'sell' if p.bought else 'buy'}",
    )
    found = read(tmp_path, "x.csv", text)
    assert found.format == "Coinbase Exchange trades"
    are_the_prints(found, sides=False)
    assert any("--side-codes buy=sell,sell=buy" in note for note in found.notes)
    are_the_prints(read(tmp_path, "x.csv", text, side_codes="buy=sell,sell=buy"))


def test_no_layout_of_the_table_is_without_a_file():
    shown = {*BARS, *VALUED, *TRADES, "Coinbase Exchange trades"}
    assert shown == {layout.name for layout in LAYOUTS}


def test_the_page_about_data_has_every_layout():
    page = (Path(__file__).resolve().parents[3] / "docs" / "data.md").read_text()
    for name in {layout.name for layout in LAYOUTS} | set(CANDLES):
        assert f"| {name}" in page or f", {name} |" in page, name


@pytest.mark.parametrize(
    ("head", "row"),
    [
        ("exchange,symbol,timestamp,is_snapshot,side,price,amount", lambda p: f"a,b,{p.t},true,bid,{p.price},1"),
        ("ts,side,price,level,size", lambda p: f"{p.t},bid,{p.price},3,1"),
        ("ts,asks[0].price,asks[0].amount,bids[0].price,bids[0].amount", lambda p: f"{p.t},2,1,1,1"),
        ("ts_event,action,side,price,size,order_id", lambda p: f"{p.t},{'AC'[p.bought]},B,{p.price},1,{p.id}"),
        ("ev,exch_ts,local_ts,px,qty", lambda p: f"1,{p.t},{p.t},{p.price},1"),
        ("timestamp,side,price,amount", lambda p: f"{p.t},{'bid' if p.bought else 'ask'},{p.price},{p.id % 4}"),
        ("timestamp,side,price,amount", lambda p: f"{p.t},{'buy' if p.bought else 'sell'},{p.price},{p.id % 4}"),
        ("timestamp,side,price,size", lambda p: (
            f"{p.t},{'b' if p.bought else 'a'},{p.price + (-60 if p.bought else 60)},1")),
    ],
)  # fmt: skip
def test_updates_of_a_book_are_no_trades(tmp_path, head, row):
    with pytest.raises(InputError, match=r"order-book messages.*: rebuild the book"):
        read(tmp_path, "x.csv", lines(head, PRINTS, row))


def test_a_book_in_json_is_no_table_of_trades(tmp_path):
    book = {"lastUpdateId": 1, "bids": [["1", "2"]], "asks": [["2", "3"]]}
    with pytest.raises(InputError, match=r"order-book messages"):
        read(tmp_path, "x.json", json.dumps(book))


@pytest.mark.parametrize(
    ("head", "form"),
    [
        ("ts,close,volume,base_volume", lambda b: f"{b.t},{b.close},{b.turnover},{b.volume}"),
        ("ts,close,amount,vol", lambda b: f"{b.t},{b.close},{b.turnover},{b.volume}"),
        ("ts,close,vol,amount", lambda b: f"{b.t},{b.close},{b.turnover},{b.volume}"),
        ("ts,close,volume,turnover", lambda b: f"{b.t},{b.close},{b.volume},{b.turnover}"),
    ],
)
def test_turnover_is_no_volume(tmp_path, head, form):
    is_the_market(read(tmp_path, "x.csv", lines(head, MARKET, form)))
