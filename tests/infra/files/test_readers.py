"""Every format, from small files as they are found in the wild."""

import gzip
import io
import zipfile

import numpy as np
import orjson
import pandas as pd
import pytest

from windvane.infra.files.errors import InputError
from windvane.infra.files.readers import read_market_file

S = 1_000_000_000
MS = 1_000_000
T0 = 1_700_000_040  # s, a full minute
END = [(T0 + 60 * (k + 1)) * S for k in range(3)]


def kline(k, unit=1000, high=12.0):
    open_time = (T0 + 60 * k) * unit
    fields = (
        open_time,
        10.0,
        high,
        9.0,
        11.0 + k / 10,
        5.0,
        open_time + 60 * unit - 1,
        55.0,
        7,
        2.0 + k,
        22.0,
        0,
    )
    return ",".join(str(field) for field in fields)


HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,"
    "taker_buy_volume,taker_buy_quote_volume,ignore"
)


def write(folder, name, text):
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize(("unit", "word"), [(1000, "milliseconds"), (1_000_000, "microseconds")])
@pytest.mark.parametrize("header", [[], [HEADER]])
def test_binance_klines(tmp_path, unit, word, header):
    path = write(tmp_path, "BTCUSDT-1m.csv", "\n".join(header + [kline(k, unit) for k in range(3)]) + "\n")
    found = read_market_file(path)
    assert (found.format, found.kind, found.interval) == ("Binance klines", "bars", 60 * S)
    assert found.columns.ts.tolist() == END
    assert found.columns.price.tolist() == [11.0, 11.1, 11.2]
    assert found.columns.size.tolist() == [5, 5, 5]
    assert found.columns.buy_size.tolist() == [2, 3, 4]
    assert f"timestamps read as {word}" in found.notes
    assert (found.rows_read, len(found.rejected)) == (3, 0)


def test_joined_klines_that_change_their_unit(tmp_path):
    path = write(tmp_path, "x.csv", "\n".join([kline(0), kline(1), kline(2, 1_000_000)]))
    found = read_market_file(path)
    assert found.columns.ts.tolist() == END
    assert "timestamps read as milliseconds (2 rows) and microseconds (1 rows)" in found.notes


def test_one_kline_says_how_long_it_lasts(tmp_path):
    assert read_market_file(write(tmp_path, "x.csv", kline(0))).interval == 60 * S


AGG = "5,100.5,0.5,10,11,1700000040123,True,True\n6,100.6,0.25,12,12,1700000040124,False,True\n"
TRADES = "5,100.5,0.5,50.25,1700000040123,true,true\n6,100.6,0.25,25.15,1700000040124,false,true\n"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (AGG, "Binance aggTrades"),
        (AGG.replace(",True\n", "\n"), "Binance aggTrades"),
        ("agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker\n"
         + AGG.replace(",True\n", "\n"), "Binance aggTrades"),
        (TRADES, "Binance trades"),
        (TRADES.replace(",true\n", "\n"), "Binance trades"),
        ("id,price,qty,quote_qty,time,is_buyer_maker\n" + TRADES.replace(",true\n", "\n"), "Binance trades"),
    ],
)  # fmt: skip
def test_binance_trades(tmp_path, text, name):
    found = read_market_file(write(tmp_path, "x.csv", text))
    assert (found.format, found.kind, found.interval) == (name, "trades", 0)
    assert found.columns.ts.tolist() == [1700000040123 * MS, 1700000040124 * MS]
    assert found.columns.price.tolist() == [100.5, 100.6]
    assert found.columns.size.tolist() == [0.5, 0.25]
    assert found.columns.buy_size.tolist() == [0, 0.25]
    assert found.ids.tolist() == [5, 6]


def frame(dates):
    return pd.DataFrame(
        {"date": dates, "open": 10.0, "high": 12.0, "low": 9.0, "close": [11.0, 11.1, 11.2], "volume": 5.0}
    )


@pytest.mark.parametrize("suffix", [".feather", ".parquet", ".json", ".json.gz", ".csv", ".csv.gz", ".zip"])
@pytest.mark.parametrize("dates", ["datetime", "ms"])
def test_freqtrade_in_every_wrapping(tmp_path, suffix, dates):
    ms = [T0 * 1000 + 60_000 * k for k in range(3)]
    table = frame(pd.to_datetime(ms, unit="ms", utc=True) if dates == "datetime" else ms)
    path = tmp_path / f"BTC_USDT-1m{suffix}"
    rows = [[ms[k], 10.0, 12.0, 9.0, 11.0 + k / 10, 5.0] for k in range(3)]
    if suffix == ".feather":
        table.to_feather(path)
    elif suffix == ".parquet":
        table.to_parquet(path)
    elif suffix.startswith(".json"):
        data = orjson.dumps(
            rows if dates == "ms" else [{"date": r[0], "close": r[4], "volume": 5} for r in rows]
        )
        path.write_bytes(gzip.compress(data) if suffix.endswith("gz") else data)
    elif suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("inside.csv", table.to_csv(index=False))
    else:
        table.to_csv(path, index=False)
    found = read_market_file(path)
    assert found.kind == "bars"
    assert found.columns.ts.tolist() == END
    assert found.columns.price.tolist() == [11.0, 11.1, 11.2]
    assert found.columns.size.tolist() == [5, 5, 5]


@pytest.mark.parametrize("name", ["ts", "time", "timestamp", "Date", "Open Time", "datetime", "unix"])
@pytest.mark.parametrize(
    ("times", "note"),
    [
        ([T0 + 60 * k for k in range(3)], "seconds"),
        ([T0 + 60.0 * k for k in range(3)], "seconds"),
        ([(T0 + 60 * k) * 1000 for k in range(3)], "milliseconds"),
        ([(T0 + 60 * k) * 1_000_000 for k in range(3)], "microseconds"),
        ([(T0 + 60 * k) * S for k in range(3)], "nanoseconds"),
        ([f"2023-11-14T22:1{4 + k}:00Z" for k in range(3)], "UTC"),
        ([f"2023-11-14 22:1{4 + k}:00" for k in range(3)], "UTC"),
        ([f"2023-11-15T00:1{4 + k}:00+02:00" for k in range(3)], "UTC"),
    ],
)
@pytest.mark.parametrize("dirty", [False, True])
def test_times_of_any_unit(tmp_path, name, times, note, dirty):
    lines = [f"{name},open,high,low,close,volume"] + [f"{time},10,12,9,11,5" for time in times]
    lines += ["soon,10,12,9,11,5"] if dirty else []
    found = read_market_file(write(tmp_path, "x.csv", "\n".join(lines)))
    assert found.columns.ts.tolist() == END
    assert any(note in line for line in found.notes)
    assert list(found.rejected) == ([(4, "time is not a time")] if dirty else [])


def test_fractions_of_seconds_keep_their_microseconds(tmp_path):
    text = "timestamp,price,qty,side\n1700000040.123456,10,1,buy\n1700000040.654321,10,1,sell\n"
    found = read_market_file(write(tmp_path, "x.csv", text))
    assert found.columns.ts.tolist() == [1700000040_123456_000, 1700000040_654321_000]
    assert found.columns.buy_size.tolist() == [1, 0]


def test_closing_times_alone(tmp_path):
    text = "close_time,close\n" + "".join(f"{(T0 + 60 * k) * 1000 - 1},{10 + k}\n" for k in range(1, 4))
    assert read_market_file(write(tmp_path, "x.csv", text)).columns.ts.tolist() == END


def test_quote_bars(tmp_path):
    text = "bo,bh,bl,bc,bsz,ao,ah,al,ac,asz,ts\n" + "".join(
        f"9,10,8,9,1.5,11,12,10,11,2.5,{(T0 + 60 * k) * 1000}\n" for k in range(3)
    )
    found = read_market_file(write(tmp_path, "x.csv", text))
    assert (found.format, found.kind) == ("quote bars", "bars")
    assert found.columns.price.tolist() == [10, 10, 10]
    assert found.columns.bid.tolist() == [9, 9, 9]
    assert found.columns.ask_size.tolist() == [2.5, 2.5, 2.5]
    assert found.columns.size is None


@pytest.mark.parametrize("regime", [[0, 6, 3], ["trending_bull", "crisis", "low_vol_range"], [0.0, 6.0, 3.0]])
def test_own_ticks(tmp_path, regime):
    table = pd.DataFrame({"ts": [T0 * S, T0 * S + 1, T0 * S + 1], "price": [10.0, 10.5, 11]})
    for name in ("size", "bid_size", "ask_size", "buy_size"):
        table[name] = 0.5
    table["bid"], table["ask"], table["regime"] = 9.9, 11.1, regime
    table.to_parquet(tmp_path / "ticks.parquet")
    found = read_market_file(tmp_path / "ticks.parquet")
    assert (found.kind, found.interval) == ("ticks", 0)
    assert found.columns.ts.tolist() == [T0 * S, T0 * S + 1, T0 * S + 1]
    assert found.columns.regime.tolist() == [0, 6, 3]
    assert found.columns.present == ("size", "bid", "ask", "bid_size", "ask_size", "buy_size", "regime")
    table["regime"] = pd.Categorical(table["regime"])
    table.to_parquet(tmp_path / "ticks.parquet")
    assert read_market_file(tmp_path / "ticks.parquet").columns.regime.tolist() == [0, 6, 3]


def test_newest_first_is_turned_round(tmp_path):
    lines = ["https://www.example.com", "unix,date,symbol,open,high,low,close,Volume BTC"]
    lines += [f"{T0 + 60 * k},2023-11-14,BTC/USD,10,12,9,{10 + k / 10},1" for k in (2, 1, 0)]
    found = read_market_file(write(tmp_path, "x.csv", "\n".join(lines)))
    assert found.columns.ts.tolist() == END
    assert found.columns.price.tolist() == [10, 10.1, 10.2]
    assert "newest rows come first: order reversed" in found.notes
    assert "first line skipped: it holds no columns" in found.notes


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_other_separators_quotes_and_a_byte_order_mark(tmp_path, mark):
    rows = [["ts", "price", "size"], [T0, 10, 1], [T0 + 1, 11, 2]]
    text = "\ufeff" + "\r\n".join(mark.join(f'"{field}"' for field in row) for row in rows)
    assert read_market_file(write(tmp_path, "x.csv", text)).columns.price.tolist() == [10, 11]


def test_sparse_bars_keep_their_interval(tmp_path):
    steps = np.cumsum([0, 30, 30, 30, 7, 31, 30, 12, 30, 1, 30])
    text = "ts,close\n" + "".join(f"{T0 + step},10\n" for step in steps)
    assert read_market_file(write(tmp_path, "x.csv", text)).interval == S


def test_a_period(tmp_path):
    bars = write(tmp_path, "bars.csv", "ts,close\n" + "".join(f"{T0 + 60 * k},{10 + k}\n" for k in range(4)))
    found = read_market_file(bars, start=(T0 + 60) * S, end=(T0 + 180) * S)
    assert found.columns.price.tolist() == [11, 12]  # the bars of exactly these two minutes
    ticks = write(
        tmp_path, "ticks.csv", "ts,price\n" + "".join(f"{T0 + 60 * k},{10 + k}\n" for k in range(4))
    )
    assert read_market_file(
        ticks, start="2023-11-14T22:15", end="2023-11-14T22:17Z"
    ).columns.price.tolist() == [11, 12]
    with pytest.raises(
        InputError, match="has no rows from 2024-01-01T00:00:00 to any time: it covers 2023-11-14"
    ):
        read_market_file(ticks, start="2024-01-01")
    with pytest.raises(InputError, match=r"^--from is 'soon': give a date"):
        read_market_file(ticks, start="soon")
    with pytest.raises(InputError, match=r"^--to is '2023-02-30': give a date"):
        read_market_file(ticks, end="2023-02-30")
    with pytest.raises(InputError, match="has no rows from 9999-01-01T00:00:00 to any time"):
        read_market_file(ticks, start="9999-01-01")
    with pytest.raises(InputError, match="--from 5 is not before --to 5"):
        read_market_file(ticks, start=5, end=5)


REAL = {
    "bars_1h_binance_btcusdt_201708_202404.parquet": ("bars", 3600 * S, 58_419),
    "bars_1m_bitfinex_btcusd_2013_2016.parquet": ("bars", 60 * S, 1_091_782),
    "bars_1m_bitfinex_btcusd_2017_2019.parquet": ("bars", 60 * S, 1_538_435),
    "bars_1m_btcperp_202201.csv.gz": ("bars", 60 * S, 45_031),
    "bars_1s_coinbase_btcusd_20161007_09.parquet": ("bars", S, 11_520),
    "quotes_1m_coinbase_btcusd_2017_2018.csv.gz": ("bars", 60 * S, 7_188),
    "ticks_es_futures_201309_mlfinpy.parquet": ("trades", 0, 500_000),
    "trades_binance_spot_btcusdt_20201101_2h.parquet": ("trades", 0, 33_835),
}


@pytest.mark.parametrize("name", REAL)
def test_real_files_load_whole(data, name):
    found = read_market_file(data / name)
    assert (found.kind, found.interval, len(found.columns)) == REAL[name]
    assert len(found.rejected) == 0
    assert (np.diff(found.columns.ts) >= 0).all()


@pytest.mark.parametrize(
    "name", ["lob_binance_usdm_btcusdt_20240808.parquet", "lob_bitstamp_btcusd_orders_20150501.csv.gz"]
)
def test_real_order_books_are_refused(data, name):
    with pytest.raises(InputError, match="holds raw order-book messages: rebuild the book"):
        read_market_file(data / name)


def test_real_bars_as_a_csv_are_the_same(data, tmp_path):
    whole = read_market_file(data / "bars_1h_binance_btcusdt_201708_202404.parquet")
    buffer = io.StringIO()
    pd.read_parquet(data / "bars_1h_binance_btcusdt_201708_202404.parquet").to_csv(buffer, index=False)
    found = read_market_file(write(tmp_path, "x.csv", buffer.getvalue()))
    np.testing.assert_array_equal(found.columns.ts, whole.columns.ts)
    np.testing.assert_array_equal(found.columns.price, whole.columns.price)
    dirty = buffer.getvalue() + "1,2\nabc,1,1,1,1,1\n"  # text among numbers goes another way
    found = read_market_file(write(tmp_path, "y.csv", dirty))
    np.testing.assert_array_equal(found.columns.price, whole.columns.price)
    assert found.rejected.counts() == {"too many or too few fields": 1, "time is not a time": 1}
