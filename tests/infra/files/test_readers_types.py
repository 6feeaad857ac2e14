"""Columns of any type, row numbers, periods and marks of a simulated market."""

import contextlib
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from windvane.infra.files import readers
from windvane.infra.files.errors import InputError
from windvane.infra.files.readers import read_market_file

T0 = 1_700_000_040
S = 1_000_000_000
N = 5
TS = [(T0 + 60 * k) * S for k in range(N)]

ODD = {
    "list": pa.array([[1]] * N),
    "large list": pa.array([["buy"]] * N, pa.large_list(pa.string())),
    "struct": pa.array([{"a": 1}] * N),
    "map": pa.array([[("a", 1)]] * N, pa.map_(pa.string(), pa.int64())),
    "time": pa.array([1] * N, pa.time64("ns")),
    "duration": pa.array([timedelta(seconds=1)] * N, pa.duration("us")),
    "long duration": pa.array([2**62 + 1] * N, pa.duration("s")),
    "bytes": pa.array([b"\xff\x00"] * N),
    "fixed bytes": pa.array([b"\xff\x00"] * N, pa.binary(2)),
    "bool": pa.array([True] * N),
    "null": pa.nulls(N),
}


def written(folder, **columns):
    table = {"ts": pa.array(TS), "price": pa.array([10.0] * N), "qty": pa.array([1.0] * N)}
    pq.write_table(pa.table({**table, **columns}), folder / "x.parquet")
    return folder / "x.parquet"


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize(("column", "what"), [("ts", "times"), ("price", "numbers")])
def test_what_is_needed_must_be_of_a_known_type(tmp_path, column, what, kind):
    with pytest.raises(InputError, match=f"column {column} of x.parquet holds no {what} .first is") as error:
        read_market_file(written(tmp_path, **{column: ODD[kind]}))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("column", ["regime", "side", "is_buyer_maker", "trade_id"])
def test_what_is_not_needed_is_not_used(tmp_path, column, kind):
    found = read_market_file(written(tmp_path, **{column: ODD[kind]}))
    assert len(found.columns) == N
    if (column, kind) != ("is_buyer_maker", "bool"):
        assert (found.columns.present, found.ids, found.simulated) == (("size",), None, False)
        assert any(column in note and note.endswith("not used") for note in found.notes)


@pytest.mark.parametrize("suffix", [".parquet", ".feather"])
@pytest.mark.parametrize(
    "times",
    [
        pa.array(TS, pa.timestamp("ns")),
        pa.array([t // S for t in TS], pa.timestamp("s", "Asia/Tokyo")),
        pa.array(TS).dictionary_encode(),
        pa.array([str(t) for t in TS], pa.large_string()),
        pa.array([str(t) for t in TS]).cast(pa.string_view()),
        pa.array([t // S for t in TS], pa.uint32()),
        pa.array([t // S for t in TS], pa.decimal128(20)),
    ],
    ids=lambda times: str(times.type),
)
def test_times_of_any_type(tmp_path, times, suffix):
    table = pa.table({"ts": times, "price": [10.0] * N})
    path = tmp_path / f"x{suffix}"
    if suffix == ".parquet":
        pq.write_table(table, path)
    else:
        feather.write_feather(table, path, compression="uncompressed")
    assert read_market_file(path).columns.ts.tolist() == TS


@pytest.mark.parametrize("kind", [pa.date32(), pa.date64()])
def test_dates(tmp_path, kind):
    days = pa.array([date(2020, 1, 1 + k) for k in range(N)], kind)
    pq.write_table(pa.table({"date": days, "close": [10.0] * N}), tmp_path / "x.parquet")
    found = read_market_file(tmp_path / "x.parquet")
    assert found.interval == 86_400 * S
    assert found.columns.ts[0] == np.datetime64("2020-01-02", "ns").astype(int)


@pytest.mark.parametrize(
    "error",
    [
        pa.ArrowNotImplementedError("no such cast\nat line 5"),
        pa.ArrowInvalid(""),
        pa.ArrowMemoryError("malloc of size 10 failed"),
        OSError("Unexpected end of stream"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_nobody_foresaw_is_a_sentence_too(tmp_path, monkeypatch, error):
    def broken(path, **options):
        raise error

    monkeypatch.setattr(readers, "read_table", broken)
    with pytest.raises(InputError, match=r"^x.parquet cannot be read \(.+\): check the file$") as raised:
        read_market_file(tmp_path / "x.parquet")
    assert "\n" not in str(raised.value)


def test_a_damaged_parquet_is_read_or_refused(tmp_path):
    raw = written(tmp_path, side=pa.array(["buy", "sell", "b", "s", "buy"])).read_bytes()
    rng = np.random.default_rng(3)
    for _ in range(100):
        damaged = bytearray(raw)
        for at in rng.integers(4, len(raw) - 8, 4):
            damaged[at] ^= int(rng.integers(1, 256))
        (tmp_path / "y.parquet").write_bytes(damaged)
        with contextlib.suppress(InputError):
            read_market_file(tmp_path / "y.parquet")


@pytest.mark.parametrize("suffix", [".parquet", ".feather"])
def test_a_table_without_rows(tmp_path, suffix):
    table = pd.DataFrame({"ts": np.empty(0, int), "price": np.empty(0)})
    getattr(table, f"to_{suffix[1:]}")(tmp_path / f"x{suffix}")
    with pytest.raises(InputError, match="has no rows: get the file again"):
        read_market_file(tmp_path / f"x{suffix}")


def lines(folder, rows, head="ts,price"):
    (folder / "x.csv").write_text("\n".join([head, *rows]))
    return folder / "x.csv"


def test_every_row_knows_its_number_in_the_file(tmp_path):
    rows = [f"{T0},10", "oops", f"{T0 + 1},nan", f"{T0 + 2},11", "", f"{T0 + 3},12,1", f"{T0 + 4},13"]
    found = read_market_file(lines(tmp_path, rows))
    assert found.columns.price.tolist() == [10, 11, 13]
    assert found.numbers.tolist() == [1, 4, 6]
    assert found.rejected.row.tolist() == [2, 3, 5]
    assert read_market_file(tmp_path / "x.csv", start=(T0 + 1) * S).numbers.tolist() == [4, 6]
    found = read_market_file(lines(tmp_path, [f"{T0 - k},{10 + k}" for k in range(4)]))
    assert (found.columns.price.tolist(), found.numbers.tolist()) == ([13, 12, 11, 10], [4, 3, 2, 1])


def test_bad_rows_outside_the_period_are_not_rejected(tmp_path):
    rows = [f"{T0},x", f"{T0 + 10},1", f"{T0 + 20},x", f"{T0 + 30},1", "soon,1", "5,1", f"{T0 + 40},x", "1"]
    path = lines(tmp_path, rows)
    assert read_market_file(path).rejected.row.tolist() == [1, 3, 5, 6, 7, 8]
    found = read_market_file(path, start=(T0 + 10) * S, end=(T0 + 40) * S)
    assert found.rejected.row.tolist() == [3, 5, 6, 8]  # when the last three were, nobody knows
    assert read_market_file(path, start=(T0 + 25) * S).rejected.row.tolist() == [5, 6, 7, 8]


def test_a_bad_bar_belongs_to_the_time_before_its_end(tmp_path):
    rows = [f"{T0 + 60 * k},{'x' if k in (1, 3, 5) else 10}" for k in range(8)]
    path = lines(tmp_path, rows, "ts,close")
    found = read_market_file(path, start=(T0 + 120) * S, end=(T0 + 240) * S)
    assert (found.numbers.tolist(), found.rejected.row.tolist()) == ([3], [4])


def test_a_simulated_market_says_so(tmp_path):
    table = pa.table({"ts": TS, "price": [10.0] * N})
    pq.write_table(table, tmp_path / "x.parquet")
    assert not read_market_file(tmp_path / "x.parquet").simulated
    told = table.replace_schema_metadata({"windvane.simulated": "market standard, seed 1"})
    pq.write_table(told, tmp_path / "x.parquet")
    assert read_market_file(tmp_path / "x.parquet").simulated
    feather.write_feather(told, tmp_path / "x.feather", compression="uncompressed")
    assert read_market_file(tmp_path / "x.feather").simulated
    labels = table.append_column("regime", [[0, 1, 2, 99, None]])
    pq.write_table(labels, tmp_path / "x.parquet")
    found = read_market_file(tmp_path / "x.parquet")
    assert (found.simulated, found.columns.regime.tolist()) == (True, [0, 1, 2, -1, -1])
    assert len(found.rejected) == 0
    assert "2 rows hold no known regime: kept, their label is unknown" in found.notes
