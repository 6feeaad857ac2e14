"""Every layout of the table has a small file here, and is read as what it is."""

import json
from pathlib import Path

import pandas as pd
import pytest
from market_tables import MARKET, PRINTS, Bar, Trade, are_the_prints, day, is_the_market, lines, read

from windvane.infra.files.errors import InputError
from windvane.infra.files.layouts import LAYOUTS
from windvane.infra.files.shapes import CANDLES, HEADLESS


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
    assert {known.name for known in HEADLESS} == {"Binance klines", "Binance aggTrades", "Binance trades"}
    assert set(CANDLES.values()) == {name for name, _ in ORDERS.values()}


def test_the_page_about_data_has_every_layout():
    page = (Path(__file__).resolve().parents[3] / "docs" / "data.md").read_text()
    for name in {layout.name for layout in LAYOUTS} | set(CANDLES.values()):
        assert f"| {name}" in page or f", {name} |" in page, name


# Tables without a header: what interfaces answer


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


# Books


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


# A person says it


def test_columns_by_name_and_by_place(tmp_path):
    text = lines("Zeit;Schluss;Menge", MARKET, lambda b: f"{b.t};{b.close};{b.volume}")
    with pytest.raises(
        InputError, match=r"has the columns Zeit, Schluss, Menge: needed are bars.*or --columns"
    ):
        read(tmp_path, "x.csv", text)
    is_the_market(read(tmp_path, "x.csv", text, columns="ts=Zeit,close=Schluss,volume=Menge"))
    is_the_market(read(tmp_path, "x.csv", text, columns="ts,close,volume"))
    is_the_market(read(tmp_path, "x.csv", text, columns="ts,close"), volume=False)
    with pytest.raises(InputError, match=r"--columns names 4 columns, and x.csv has 3"):
        read(tmp_path, "x.csv", text, columns="ts,open,close,volume")
    with pytest.raises(InputError, match=r"--columns names 'zeiten', and x.csv has the columns Zeit"):
        read(tmp_path, "x.csv", text, columns="ts=Zeiten,close=Schluss")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"columns": "ts,opne,close"}, "--columns names 'opne', which is nothing that is read: name ts"),
        ({"columns": "open,close"}, "--columns names no column of times: name one of them ts"),
        ({"columns": "ts,close,close"}, "--columns names close twice"),
        ({"columns": "ts=a,close"}, "--columns mixes words with and without '='"),
        ({"columns": "ts,open"}, "--columns names neither close nor price in x.csv"),
        ({"stamp": "end"}, "--stamp is 'end': give open or close"),
        ({"decimal": ";"}, "--decimal is ';': give . or ,"),
        ({"side_codes": "buy=0"}, "--side-codes is 'buy=0': give the codes"),
        ({"side_codes": "0,1,2"}, "--side-codes is '0,1,2': give the codes"),
        ({"encoding": "latin-17"}, "--encoding is 'latin-17', which is unknown"),
        ({"max_rejected": "many"}, "--max-rejected is 'many': give the percent"),
        ({"max_rejected": "101"}, "--max-rejected is '101': give the percent"),
        ({"symbol_column": "pair"}, "--symbol-column is 'pair', and x.csv has the columns ts, close"),
    ],
)
def test_an_option_that_cannot_be_meant(tmp_path, options, why):
    with pytest.raises(InputError, match=why.replace("(", r"\(").replace(".", r"\.")):
        read(tmp_path, "x.csv", lines("ts,close", MARKET, lambda b: f"{b.t},{b.close}"), **options)


def test_a_layout_of_ones_own(tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text(
        'name = "our recorder"\ncolumns = ["-", "close", "ts", "volume"]\nstamp = "close"\ndecimal = ","\n'
        'encoding = "utf-16"\nmax-rejected = 10\n'
    )
    comma = lambda number: str(number).replace(".", ",")  # noqa: E731
    text = lines(None, MARKET, lambda b: f"x;{comma(b.close)};{b.t + 60};{comma(b.volume)}")
    found = read(tmp_path, "x.csv", text.encode("utf-16"), layout=mine)
    assert found.format == "our recorder"
    is_the_market(found)
    mine.write_text('[columns]\nts = "Zeit"\nclose = "Kurs"\n')
    found = read(tmp_path, "x.csv", lines("Kurs,Zeit", MARKET, lambda b: f"{b.close},{b.t}"), layout=mine)
    is_the_market(found, volume=False)
    for content, why in (
        ("columns = [", "is not sound TOML"),
        ('column = "ts"', "has the key 'column': keys are name, columns"),
        ('stamp = "end"', "stamp of mine.toml is 'end': give open or close"),
    ):
        mine.write_text(content)
        with pytest.raises(InputError, match=why):
            read(tmp_path, "x.csv", "ts,close\n", layout=mine)
    with pytest.raises(InputError, match=r"--layout .*none.toml cannot be read .*: check the path"):
        read(tmp_path, "x.csv", "ts,close\n", layout=tmp_path / "none.toml")
