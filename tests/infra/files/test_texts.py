"""Texts: encodings, marks of numbers, dates as vendors write them, and JSON in every shape."""

import gzip
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from market_tables import BARS, MARKET, T0, S, day, is_the_market, lines, read

from windvane.infra.files.errors import InputError

PLAIN = lines(
    "timestamp,open,high,low,close,volume",
    MARKET,
    lambda b: f"{b.t},{b.open},{b.high},{b.low},{b.close},{b.volume}",
)
FRAME = pd.DataFrame(
    {name: [getattr(bar, name) for bar in MARKET] for name in ("open", "high", "low", "close", "volume")},
    index=pd.to_datetime([bar.t for bar in MARKET], unit="s"),
)


OBJECTS = tuple({"t": b.t, "o": b.open, "h": b.high, "l": b.low, "c": b.close, "v": b.volume} for b in MARKET)


class TestEncoding:
    @pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
    def test_it_is_recognised(self, tmp_path, encoding):
        is_the_market(read(tmp_path, "x.csv", PLAIN.encode(encoding)))

    def test_what_is_no_utf8_is_read_as_the_windows_page(self, tmp_path):
        found = read(tmp_path, "x.csv", PLAIN.replace("open", "Eröffnung").encode("cp1252"))
        is_the_market(found)
        assert "Eröffnung" in found.unread
        assert "text is not UTF-8, and was read as cp1252" in found.notes

    def test_a_person_names_it(self, tmp_path):
        is_the_market(read(tmp_path, "x.csv.gz", gzip.compress(PLAIN.encode("cp037")), encoding="cp037"))
        with pytest.raises(InputError, match=r"x.csv is no text in ascii"):
            read(tmp_path, "x.csv", PLAIN.replace("open", "Eröffnung"), encoding="ascii")


def american(number: float) -> str:
    return f"{number:,}"


def european(number: float) -> str:
    return american(number).translate(str.maketrans(",.", ".,"))


class TestMarksInNumbers:
    @pytest.mark.parametrize("form", [american, lambda x: f"${x:,}", lambda x: f" {x:,} "])
    def test_thousands_in_quotes(self, tmp_path, form):
        text = lines(
            '"timestamp","open","high","low","close","volume"',
            MARKET,
            lambda b: f'{b.t},"{form(b.open)}","{form(b.high)}","{form(b.low)}","{form(b.close)}",{b.volume}',
        )
        found = read(tmp_path, "x.csv", text)
        is_the_market(found)
        assert "commas in numbers part thousands" in found.notes

    @pytest.mark.parametrize("mark", [";", "\t", "|"])
    @pytest.mark.parametrize("form", [european, lambda x: str(x).replace(".", ",")])
    @pytest.mark.parametrize("head", ["timestamp,open,high,low,close,volume", None])
    def test_decimal_commas(self, tmp_path, mark, form, head):
        text = lines(
            head and head.replace(",", mark),
            MARKET,
            lambda b: mark.join([str(b.t), *map(form, (b.open, b.high, b.low, b.close, b.volume))]),
        )
        is_the_market(read(tmp_path, "x.csv", text))
        is_the_market(read(tmp_path, "x.csv", text, decimal=","))

    def test_decimal_commas_in_quotes(self, tmp_path):
        text = lines(
            "ts,close,volume", MARKET, lambda b: f'{b.t},"{european(b.close)}","{european(b.volume)}"'
        )
        is_the_market(read(tmp_path, "x.csv", text))

    def test_a_comma_that_may_be_either_is_asked_for(self, tmp_path):
        text = lines("ts;close", MARKET, lambda b: f"{b.t};62,{int(b.close) % 1000:03}")
        with pytest.raises(
            InputError, match=r"may part thousands or decimals: say which with --decimal \. or --d"
        ):
            read(tmp_path, "x.csv", text)
        wanted = [62_000 + int(b.close) % 1000 for b in MARKET]
        assert read(tmp_path, "x.csv", text, decimal=".").columns.price.tolist() == wanted
        found = read(tmp_path, "x.csv", text, decimal=",")
        assert found.columns.price.tolist() == pytest.approx([price / 1000 for price in wanted])

    def test_volumes_in_thousands_and_millions(self, tmp_path):
        text = lines(
            "ts,close,volume", MARKET, lambda b: f"{b.t},{b.close},{'1.5K' if b.count % 2 else '2M'}"
        )
        found = read(tmp_path, "x.csv", text)
        assert found.columns.size.tolist() == [1500.0 if b.count % 2 else 2e6 for b in MARKET]

    def test_what_is_no_number_is_none(self, tmp_path):
        text = PLAIN + f"{T0 + 60 * BARS},1,1,1,12 9,1\n{T0 + 60 * BARS + 60},1,1,1,1e,1\n"
        found = read(tmp_path, "x.csv", text)
        assert found.rejected.counts() == {"close is not a number": 2}


class TestTimes:
    @pytest.mark.parametrize(
        "form",
        [
            "%Y.%m.%d %H:%M", "%Y/%m/%d %H:%M:%S", "%d.%m.%Y %H:%M:%S.000", "%d.%m.%Y %H:%M:%S GMT+0000", "%Y%m%d%H%M",
            "%Y%m%d%H%M%S", "%Y%m%d %H%M%S", "%Y-%m-%d %H:%M:%S UTC", "%b %d, %Y %I:%M %p", "%Y-%m-%d %I:%M:%S %p",
        ],
    )  # fmt: skip
    def test_dates_as_vendors_write_them(self, tmp_path, form):
        text = lines("Gmt time;close;volume", MARKET, lambda b: f"{day(b, form)};{b.close};{b.volume}")
        is_the_market(read(tmp_path, "x.csv", text))

    @pytest.mark.parametrize("form", ["%d/%m/%Y", "%m/%d/%Y"])
    def test_slashes_where_a_day_above_12_tells_the_order(self, tmp_path, form):
        days = pd.date_range("2024-03-01", periods=30)
        text = "".join(f"{day:{form}},{k + 1}\n" for k, day in enumerate(days))
        found = read(tmp_path, "x.csv", "date,close\n" + text)
        assert found.columns.ts.tolist() == [(T0 + 86_400 * (k + 1)) * S for k in range(30)]
        with pytest.raises(InputError, match=r"holds no times .first is '0./0./2024'"):
            read(tmp_path, "x.csv", "date,close\n" + "".join(text.splitlines(True)[:9]))

    @pytest.mark.parametrize("date", ["%Y-%m-%d", "%Y%m%d", "%Y.%m.%d", "%d.%m.%Y"])
    @pytest.mark.parametrize("clock", ["%H:%M:%S", "%H:%M", "%H%M%S"])
    def test_date_and_time_in_two_columns(self, tmp_path, date, clock):
        text = lines(
            "Date,Time,close,volume",
            MARKET,
            lambda b: f"{day(b, date)},{day(b, clock)},{b.close},{b.volume}",
        )
        is_the_market(read(tmp_path, "x.csv", text))

    @pytest.mark.parametrize("name", ["", "Unnamed: 0", "index", "when", "__index_level_0__"])
    def test_the_only_column_that_holds_times_needs_no_name(self, tmp_path, name):
        text = lines(
            f"{name},close,volume", MARKET, lambda b: f"{day(b, '%Y-%m-%d %H:%M')},{b.close},{b.volume}"
        )
        is_the_market(read(tmp_path, "x.csv", text))

    def test_an_index_in_parquet(self, tmp_path):
        FRAME.to_parquet(tmp_path / "x.parquet")
        is_the_market(read(tmp_path, "x.parquet", (tmp_path / "x.parquet").read_bytes()))

    def test_a_header_of_two_lines_over_an_index(self, tmp_path):
        head = "Price,Close,Volume\nTicker,BTC-USD,BTC-USD\nDate,,"
        text = lines(head, MARKET, lambda b: f"{day(b, '%Y-%m-%d %H:%M')},{b.close},{b.volume}")
        is_the_market(read(tmp_path, "x.csv", text))


class TestJson:
    @pytest.mark.parametrize(
        "text",
        [
            json.dumps(OBJECTS),
            json.dumps({"data": {"candles": OBJECTS}, "count": BARS}),
            "\n".join(map(json.dumps, OBJECTS)),
            "\r\n".join(json.dumps(list(row.values())) for row in OBJECTS) + "\n",
            ",\n".join(map(json.dumps, OBJECTS)),
            json.dumps({name: [row[name] for row in OBJECTS] for name in OBJECTS[0]}),
            json.dumps({"s": "ok", **{name: [row[name] for row in OBJECTS] for name in OBJECTS[0]}}),
            json.dumps({"columns": [*OBJECTS[0]], "data": [[*row.values()] for row in OBJECTS]}),
            FRAME.to_json(orient="columns", date_format="iso"),
            FRAME.to_json(orient="index", date_format="iso"),
            FRAME.to_json(orient="split", date_format="iso"),
            FRAME.to_json(orient="table"),
        ],
        ids=range(12),
    )
    def test_every_shape(self, tmp_path, text):
        is_the_market(read(tmp_path, "x.json", text))

    @pytest.mark.parametrize("name", ["x.jsonl", "x.ndjson", "x.jsonl.gz"])
    def test_its_other_names(self, tmp_path, name):
        text = "\n".join(map(json.dumps, OBJECTS)).encode()
        is_the_market(read(tmp_path, name, gzip.compress(text) if name.endswith("gz") else text))

    def test_nan_which_json_does_not_know(self, tmp_path):
        empty = {"t": T0 + 60 * BARS, **dict.fromkeys("ohlcv", float("nan"))}
        for text in (json.dumps([*OBJECTS, empty]), "\n".join(map(json.dumps, [*OBJECTS, empty]))):
            found = read(tmp_path, "x.json", text)
            is_the_market(found)
            assert found.rejected.counts() == {"empty: the row holds no price": 1}

    def test_two_tables_are_one_too_many(self, tmp_path):
        with pytest.raises(InputError, match=r"holds 2 tables \(result.A, result.B\): give a file for each"):
            read(tmp_path, "x.json", json.dumps({"result": {"A": OBJECTS, "B": OBJECTS, "last": 1}}))


class TestRowsThatAreKept:
    def test_quotes_beside_an_empty_column_of_prices(self, tmp_path):
        text = lines(
            "<DATE>\t<TIME>\t<BID>\t<ASK>\t<LAST>\t<VOLUME>\t<FLAGS>",
            MARKET,
            lambda b: f"{day(b, '%Y.%m.%d')}\t{day(b, '%H:%M:%S')}.250\t{b.close - 1}\t{b.close + 1}\t\t\t6",
        )
        found = read(tmp_path, "x.csv", text)
        assert (found.kind, found.columns.present) == ("ticks", ("bid", "ask"))
        assert found.columns.ts.tolist() == [b.t * S + S // 4 for b in MARKET]
        assert found.columns.price.tolist() == pytest.approx([b.close for b in MARKET])

    def test_single_precision_beside_double(self, tmp_path):
        single = {name: FRAME[name].to_numpy(np.float32) for name in ("open", "high", "low")}
        highest = np.float32([bar.close for bar in MARKET])  # half of them are below the close
        table = {"ts": [bar.t for bar in MARKET], **single, "high": highest, "low": highest - np.float32(9)}
        pq.write_table(
            pa.table({**table, "close": FRAME.close, "volume": FRAME.volume}), tmp_path / "x.parquet"
        )
        assert (highest < FRAME.close.to_numpy()).any()
        is_the_market(read(tmp_path, "x.parquet", (tmp_path / "x.parquet").read_bytes()))

    def test_a_close_outside_of_its_bar_is_none(self, tmp_path):
        text = PLAIN + f"{T0 + 60 * BARS},10,12,9,13,5\n"
        assert read(tmp_path, "x.csv", text).rejected.counts() == {"close is outside low to high": 1}

    @pytest.mark.parametrize(
        "empty", ["nan,nan,nan,nan,nan", ",,,,", ",,,,0", "0,0,0,0,0", "NaN,NaN,NaN,NaN,0.0"]
    )
    def test_bars_that_hold_nothing_are_said_to(self, tmp_path, empty):
        found = read(
            tmp_path, "x.csv", PLAIN + "".join(f"{T0 + 60 * (BARS + k)},{empty}\n" for k in range(9))
        )
        is_the_market(found)
        assert found.rejected.counts() == {"empty: the row holds no price": 9}
