"""Files that are not what they seem: one sentence and exit code 2, or all that is in them."""

import gzip
import os
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cli_harness import Files, backtest, refusal, simulated, windvane

ROWS = 700


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    return simulated(tmp_path_factory.mktemp("files") / "market.parquet", ROWS, seed=9)


@pytest.fixture(scope="module")
def clean(market: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("clean")
    market.to_parquet(folder / "m.parquet", index=False)
    return backtest(folder / "m.parquet", folder / "out")


def refused(path: Path) -> str:
    """The sentence; nothing is left of the attempt."""
    sentence = refusal(windvane("backtest", path, "--out", path.parent / "out"))
    assert path.name in sentence
    assert not (path.parent / "out").exists()
    return sentence


def csv(market: pd.DataFrame) -> list[str]:
    return market.to_csv(index=False).splitlines()


@pytest.mark.parametrize(
    ("name", "raw", "why"),
    [
        ("empty.csv", b"", "is empty"),
        ("empty.parquet", b"", "is empty"),
        ("blank.csv", b"\n\n  \n", "is empty"),
        ("header.csv", b"ts,price,size\n", "no rows"),
        ("junk.csv", bytes(range(256)) * 20, "is binary"),
        ("junk.parquet", bytes(range(256)) * 20, "not a sound parquet"),
        ("junk.csv.gz", bytes(range(256)) * 20, "not a sound gzip"),
        ("junk.zip", bytes(range(256)) * 20, "not a sound zip"),
        ("junk.json", b"{'a': 1", "not sound JSON"),
        ("junk.feather", bytes(range(256)) * 20, "not a sound feather"),
        ("market.xlsx", b"PK junk", ".parquet"),
        ("market", b"ts,price\n1,2\n", ".parquet"),
        ("other.csv", b"when,what\n1577837700,7000\n", "needed are"),
        ("words.csv", b"ts,price\nnow,high\nthen,low\n", "holds no"),
        ("days.csv", b"ts,price\n02/01/2020 10:00,7000\n02/01/2020 10:01,7000\n", "ISO 8601"),
        ("old.csv", b"ts,price\n5,7000\n6,7001\n", "when Bitcoin began"),
        ("bar.csv", b"ts,open,high,low,close,volume\n1577837700,1,1,1,1,1\n", "one bar"),
        ("bad.csv", b"ts,price\n1577837700,-1\n1577837701,0\n", "row 1: price is not a positive number"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, name: str, raw: bytes, why: str) -> None:
    (tmp_path / name).write_bytes(raw)
    assert why in refused(tmp_path / name)


def test_no_file_a_folder_and_halves(market: pd.DataFrame, tmp_path: Path) -> None:
    assert "does not exist" in refused(tmp_path / "missing.csv")
    (tmp_path / "folder.csv").mkdir()
    assert "is not a file" in refused(tmp_path / "folder.csv")
    packed = gzip.compress("\n".join(csv(market)).encode())
    (tmp_path / "half.csv.gz").write_bytes(packed[: len(packed) // 2])
    assert "only part of a gzip" in refused(tmp_path / "half.csv.gz")
    market.to_parquet(tmp_path / "whole.parquet")
    whole = (tmp_path / "whole.parquet").read_bytes()
    (tmp_path / "half.parquet").write_bytes(whole[: len(whole) // 2])
    assert "not a sound parquet" in refused(tmp_path / "half.parquet")


def test_a_file_damaged_in_the_middle(market: pd.DataFrame, tmp_path: Path) -> None:
    market.to_parquet(tmp_path / "m.parquet")
    raw = bytearray((tmp_path / "m.parquet").read_bytes())
    for at in range(200, 900, 7):
        raw[at] ^= 0xFF
    (tmp_path / "m.parquet").write_bytes(raw)
    ran = windvane("backtest", tmp_path / "m.parquet", "--out", tmp_path / "out")
    assert ran.code in (0, 2)
    if ran.code:
        refusal(ran)


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(market: pd.DataFrame, tmp_path: Path) -> None:
    market.to_parquet(tmp_path / "m.parquet")
    (tmp_path / "m.parquet").chmod(0)
    refused(tmp_path / "m.parquet")


ODD = {
    "list": pa.array([[1]] * ROWS),
    "struct": pa.array([{"a": 1}] * ROWS),
    "time": pa.array([1] * ROWS, pa.time64("ns")),
    "duration": pa.array([timedelta(seconds=1)] * ROWS, pa.duration("us")),
    "bytes": pa.array([b"\xff\x00"] * ROWS),
    "bool": pa.array([True] * ROWS),
    "null": pa.nulls(ROWS),
    "half": pa.array(np.ones(ROWS, np.float16)),
    "uint64": pa.array(np.full(ROWS, 2**64 - 1, np.uint64)),
}


@pytest.mark.parametrize("column", ["ts", "price", "size", "bid", "regime", "side", "id"])
@pytest.mark.parametrize("kind", ODD)
def test_a_column_of_another_type(market: pd.DataFrame, tmp_path: Path, column: str, kind: str) -> None:
    columns = {"ts": market.ts, "price": market.price, "size": market["size"]}
    if column == "bid":
        columns["ask"] = market.ask
    pq.write_table(pa.table({**columns, column: ODD[kind]}), tmp_path / "m.parquet")
    ran = windvane("backtest", tmp_path / "m.parquet", "--out", tmp_path / "out", "--to", "2020-01-02")
    if ran.code:
        refusal(ran)


def as_text(market: pd.DataFrame, folder: Path) -> Path:
    market.assign(ts=market.ts.astype(str)).to_parquet(folder / "m.parquet", index=False)
    return folder / "m.parquet"


def as_dates(market: pd.DataFrame, folder: Path) -> Path:
    market.assign(ts=pd.to_datetime(market.ts, utc=True)).to_parquet(folder / "m.parquet", index=False)
    return folder / "m.parquet"


def as_iso(market: pd.DataFrame, folder: Path) -> Path:
    text = pd.to_datetime(market.ts).dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    market.assign(ts=text).to_csv(folder / "m.csv", index=False)
    return folder / "m.csv"


def as_mixed_units(market: pd.DataFrame, folder: Path) -> Path:
    unit = np.resize([1, 1_000, 1_000_000, 1_000_000_000], ROWS)
    market.assign(ts=market.ts // unit).to_parquet(folder / "m.parquet", index=False)
    return folder / "m.parquet"


def as_semicolons(market: pd.DataFrame, folder: Path) -> Path:
    (folder / "m.csv").write_text("\n".join(csv(market)).replace(",", ";"))
    return folder / "m.csv"


def as_gzip(market: pd.DataFrame, folder: Path) -> Path:
    (folder / "m.csv.gz").write_bytes(gzip.compress("\r\n".join(csv(market)).encode("utf-8-sig")))
    return folder / "m.csv.gz"


def as_newest_first(market: pd.DataFrame, folder: Path) -> Path:
    market.iloc[::-1].to_parquet(folder / "m.parquet", index=False)
    return folder / "m.parquet"


@pytest.mark.parametrize(
    "written", [as_text, as_dates, as_iso, as_mixed_units, as_semicolons, as_gzip, as_newest_first]
)
def test_however_it_is_written_it_is_the_same_market(
    market: pd.DataFrame, clean: Files, tmp_path: Path, written: object
) -> None:
    assert callable(written)
    found = backtest(written(market, tmp_path), tmp_path / "out")
    assert found.metrics["rejected"] == 0
    pd.testing.assert_frame_equal(found.decisions, clean.decisions, check_exact=True)


def test_a_header_in_the_middle_and_broken_lines_are_left_out(
    market: pd.DataFrame, clean: Files, tmp_path: Path
) -> None:
    lines = csv(market)
    broken = [lines[0], "1577837700", "a,b,c,d,e,f,g,h,i,j,k", '"', "nan,nan,nan,nan,nan,nan,nan,nan,nan"]
    (tmp_path / "m.csv").write_text("\n".join([*lines[:600], *broken, *lines[600:]]))
    found = backtest(tmp_path / "m.csv", tmp_path / "out")
    assert found.metrics["rejected"] == len(broken)
    assert {letter["source"] for letter in found.letters} == {f"m.csv row {600 + k}" for k in range(5)}
    pd.testing.assert_frame_equal(found.decisions, clean.decisions, check_exact=True)


def test_a_half_line_at_the_end_is_left_out(market: pd.DataFrame, tmp_path: Path) -> None:
    text = "\n".join(csv(market))
    (tmp_path / "m.csv").write_text(text[: text.rindex(",", 0, text.rindex(",") - 20)])
    assert backtest(tmp_path / "m.csv", tmp_path / "out").metrics["rejected"] == 1


@pytest.mark.parametrize(
    ("file", "rows", "options"),
    [
        ("bars_1s_coinbase_btcusd_20161007_09.parquet", 11_520, ()),
        ("quotes_1m_coinbase_btcusd_2017_2018.csv.gz", 7_188, ()),
        ("trades_binance_spot_btcusdt_20201101_2h.parquet", 33_835, ()),
        ("bars_1m_btcperp_202201.csv.gz", 45_031, ()),
    ],
)
def test_real_files_lose_no_row(
    data: Path, tmp_path: Path, file: str, rows: int, options: tuple[str, ...]
) -> None:
    found = backtest(data / file, tmp_path, *options)
    assert len(found.decisions) + found.metrics["rejected"] == rows
    assert found.metrics["ticks"] + found.metrics["rejected"] == rows
    assert found.metrics["data"]["kind"] == "real"


@pytest.mark.parametrize(
    "file", ["lob_binance_usdm_btcusdt_20240808.parquet", "lob_bitstamp_btcusd_orders_20150501.csv.gz"]
)
def test_raw_books_are_refused(data: Path, tmp_path: Path, file: str) -> None:
    assert "rebuild the book" in refusal(windvane("backtest", data / file, "--out", tmp_path))
