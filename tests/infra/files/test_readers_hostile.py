"""Bad files get one sentence, bad rows a dead letter, and the rest is kept."""

import gzip
import zipfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from windvane.infra.files.errors import DeadLetter, InputError
from windvane.infra.files.readers import read_market_file

T0 = 1_700_000_040
HEADER = "ts,open,high,low,close,volume\n"


def bar(k, row="10,12,9,11,5"):
    return f"{T0 + 60 * k},{row}\n"


def read(folder, text, name="x.csv"):
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_market_file(path)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("10,12,9,abc,5", "close is not a number"),
        ("10,12,9,,5", "close is not a number"),
        ("10,12,9,nan,5", "close is not a number"),
        ("10,12,9,inf,5", "close is not a positive number"),
        ("10,12,9,-inf,5", "close is not a positive number"),
        ("10,12,9,13,5", "close is outside low to high"),
        ("10,12,9,11", "too many or too few fields"),
        ("10,12,9,11,5,6", "too many or too few fields"),
        ('10,12,9,"11,5', "close is not a number"),
    ],
)
def test_a_bad_row_is_a_dead_letter(tmp_path, row, reason):
    found = read(tmp_path, HEADER + bar(0) + "\n" + bar(1) + bar(2, row) + bar(3))
    assert found.columns.price.tolist() == [11, 11, 11]
    assert (found.rows_read, len(found.rejected)) == (4, 1)
    assert list(found.rejected) == [DeadLetter(3, reason)]
    assert found.rejected.counts() == {reason: 1}


@pytest.mark.parametrize(
    "row",
    [
        "0,12,9,11,5",
        ",12,9,11,5",
        "8,12,9,11,5",
        "10,12,-9,11,5",
        "10,9,12,11,5",
        "10,nan,9,11,5",
        "10,12,x,11,5",
    ],
)
def test_a_column_that_nothing_reads_costs_no_row(tmp_path, row):
    found = read(tmp_path, HEADER + bar(0) + bar(1) + bar(2, row) + bar(3))
    assert found.columns.price.tolist() == [11, 11, 11, 11]
    assert found.columns.size.tolist() == [5, 5, 5, 5]
    assert len(found.rejected) == 0


@pytest.mark.parametrize("size", ["", "-5", "lots", "inf", "1e19", "nan"])
def test_a_size_that_cannot_be_used_counts_as_none(tmp_path, size):
    found = read(tmp_path, HEADER + bar(0) + bar(1, f"10,12,9,11,{size}") + bar(2))
    assert found.columns.size.tolist() == [5, 0, 5]
    assert len(found.rejected) == 0
    assert "1 rows have no size that can be used: taken as 0 there" in found.notes


@pytest.mark.parametrize(
    ("time", "reason"),
    [
        ("0", "time before Bitcoin existed"),
        ("86400", "time before Bitcoin existed"),
        ("-5", "time before Bitcoin existed"),
        ("5000000000", "time after 2100"),
        ("1e30", "time after 2100"),
        ("", "time is not a time"),
        ("nan", "time is not a time"),
        ("1970-01-01T00:00:00Z", "time before Bitcoin existed"),
        ("2150-01-01", "time after 2100"),
        ("9999-12-31T00:00:00", "time after 2100"),
        ("yesterday", "time is not a time"),
    ],
)
def test_a_bad_time_is_a_dead_letter(tmp_path, time, reason):
    found = read(tmp_path, HEADER + bar(0) + bar(1) + f"{time},10,12,9,11,5\n" + bar(2))
    assert found.columns.ts.tolist() == [(T0 + 60 * k) * 10**9 for k in (1, 2, 3)]
    assert list(found.rejected) == [(3, reason)]


def test_bad_quotes_are_dead_letters_but_sides_ids_and_labels_are_not(tmp_path):
    text = "ts,price,size,bid,ask,side,id,regime\n"
    rows = [
        "10,1,9,11,buy,1,crisis",
        "10,1,11,9,buy,2,crisis",
        "10,1,0,9,buy,3,crisis",
        "10,1,9,11,hold,4,crisis",
    ]
    rows += ["10,1,9,11,S,x,crisis", "10,1,9,11,B,6,doom", "10,1,9,11,B,7,0"]
    found = read(tmp_path, text + "".join(f"{T0 + k},{row}\n" for k, row in enumerate(rows)))
    assert [letter.reason for letter in found.rejected] == [
        "crossed book: bid above ask",
        "bid is not a positive number",
    ]
    assert found.columns.regime.tolist() == [6, 6, 6, -1, 0]
    assert found.columns.buy_size.tolist() == [1, 0.5, 0, 1, 1]
    assert found.simulated
    assert "1 rows hold no known regime: kept, their label is unknown" in found.notes
    assert (
        "1 rows have a side that is neither buy nor sell: half of their size counts as bought" in found.notes
    )


def test_a_middle_of_hostile_quotes(tmp_path):
    rows = ["9,11", "inf,-inf", "1e308,1e308", "nan,11", "9,11"]
    found = read(tmp_path, "ts,bid,ask\n" + "".join(f"{T0 + k},{row}\n" for k, row in enumerate(rows)))
    assert found.columns.price.tolist() == [10, 1e308, 10]


def test_what_says_nothing_is_not_used(tmp_path):
    text = "ts,price,qty,side,trade_id,regime,bid_size\n"
    text += "".join(f"{T0 + k},10,1,-,{k:x}-uuid,none,\n" for k in range(5))
    found = read(tmp_path, text)
    assert (found.ids, found.columns.present, found.simulated) == (None, ("size",), False)
    assert len([note for note in found.notes if note.endswith("not used")]) == 4
    text = "ts,price,qty,trade_id\n" + "".join(f"{T0 + k},10,1,{9 - k}\n" for k in range(5))
    assert "trade ids do not rise: not used" in read(tmp_path, text).notes


def half(data):
    return data[: len(data) // 2]


BARS = (HEADER + "".join(bar(k) for k in range(500))).encode()


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("x.csv", b"", "is empty"),
        ("x.csv", b"\n\n  \n", "is empty"),
        ("x.csv", HEADER, "has a header and no rows"),
        ("x.csv", bytes(range(256)) * 9, "is binary, not a csv file"),
        ("x.csv", np.random.default_rng(0).bytes(5000), "is binary, not a csv file"),
        ("x.csv", "a,b\n1,2\n", "has the columns a, b: needed are bars"),
        ("x.csv", "hello\n", "has a header and no rows"),
        ("x.csv", "1,2,3,4\n", "has no header and 4 columns"),
        (
            "x.csv",
            "ts,close\n" + "".join(f"{T0 + k},abc\n" for k in range(5)),
            "holds no numbers .first is 'abc'",
        ),
        (
            "x.csv",
            "ts,close\n" + "".join(f"{T0 + k},\n" for k in range(5)),
            "column close of x.csv holds no numbers",
        ),
        ("x.csv", "ts,close\n" + "soon,1\n" * 5, "holds no times .first is 'soon'"),
        (
            "x.csv",
            "ts,close\n" + "".join(f"{60 * k},1\n" for k in range(5)),
            "no time in x.csv lies between 2009",
        ),
        ("x.csv", f"ts,close\n{T0},1\n", "has one bar, so nothing says how long it lasts"),
        ("x.csv", f"ts,close\n{T0},-1\n{T0},-2\n", "no row that can be used .row 1: close is not a positive"),
        ("x.csv.gz", b"", "is empty"),
        ("x.csv.gz", half(gzip.compress(BARS, mtime=0)), "is only part of a gzip file"),
        ("x.csv.gz", BARS, "is not a sound gzip file"),
        ("x.csv.gz", gzip.compress(b"", mtime=0), "is empty inside"),
        ("x.zip", BARS, "is not a sound zip file"),
        ("x.parquet", b"PAR1 not really PAR1", "is not a sound parquet file"),
        ("x.parquet", BARS, "is not a sound parquet file"),
        ("x.feather", BARS, "is not a sound feather file"),
        ("x.json", b"[[1, 2", "is not sound JSON"),
        ("x.json", b'{"a": 1}', "holds no list of rows"),
        ("x.json", b"[]", "holds no list of rows"),
        ("x.pkl", BARS, "extension that is not known: give one of .csv"),
        ("x", BARS, "extension that is not known"),
        ("x.gz", BARS, "is not known: rename it to what is inside, such as .csv.gz, or give one of .csv"),
        ("x.csv", HEADER + "1,2\n", "has no sound row: check its columns"),
    ],
)
def test_a_bad_file_gets_one_sentence(tmp_path, name, content, sentence):
    with pytest.raises(InputError, match=sentence) as error:
        read(tmp_path, content, name)
    assert "\n" not in str(error.value)
    assert ": " in str(error.value)  # what is wrong: what to do


def test_half_a_parquet(tmp_path):
    pd.DataFrame({"ts": range(999), "price": 1.0}).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(InputError, match="is not a sound parquet file"):
        read(tmp_path, half((tmp_path / "x.parquet").read_bytes()), "x.parquet")


def test_files_that_are_not_there_or_no_files(tmp_path):
    with pytest.raises(InputError, match="does not exist: check the path"):
        read_market_file(tmp_path / "x.csv")
    with pytest.raises(InputError, match="is not a file"):
        read_market_file(tmp_path)


@pytest.mark.parametrize("names", [[], ["a.csv", "b.csv"], ["a.txt"]])
def test_a_zip_holds_one_csv(tmp_path, names):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name in names:
            archive.writestr(name, BARS)
    with pytest.raises(InputError, match="give a zip with exactly one csv file"):
        read_market_file(tmp_path / "x.zip")


def test_a_zip_may_hold_other_things(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("bars.csv", BARS)
        archive.writestr("readme.txt", "hello")
        archive.writestr("__MACOSX/bars.csv", "junk")
    assert len(read_market_file(tmp_path / "x.zip").columns) == 500


def test_json_rows_of_any_kind(tmp_path):
    rows = [[T0, 10, 12, 9, 11, 5], [T0 + 60, 10, 12, 9, 11], [T0 + 120, 10, 12, 9, None, 5]]
    rows += [[T0 + 180, 10, 12, 9, "x", 5], [T0 + 240, 10, 12, 9, 11, 5]]
    found = read(tmp_path, str(rows).replace("'", '"').replace("None", "null"), "x.json")
    assert found.rejected.row.tolist() == [2, 3, 4]
    assert len(found.columns) == 2


def test_a_large_dirty_csv_keeps_all_its_good_rows(tmp_path):
    lines = [bar(k) for k in range(100_000)]
    lines[70_000] = bar(70_000, "10,12,9,n/a,5")
    lines[80_000] = "oops\n"
    lines[90_000] = bar(90_000, "10,12,9")
    found = read(tmp_path, HEADER + "".join(lines))
    assert found.rejected.row.tolist() == [70_001, 80_001, 90_001]
    assert len(found.columns) == 99_997


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.sampled_from([".csv", ".csv.gz", ".zip", ".parquet", ".feather", ".json"]))
def test_junk_never_raises_anything_else(tmp_path, junk, suffix):
    with pytest.raises(InputError):
        read(tmp_path, junk, f"x{suffix}")


fields = st.sampled_from(
    ["10", "12", "9", "abc", "", "nan", "inf", "-1", "0", "1e400", str(T0), '"', "é", "true"]
)
lines = st.lists(st.lists(fields, min_size=1, max_size=8).map(",".join), min_size=1, max_size=8)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines, st.booleans())
def test_bad_rows_never_cost_a_good_one(tmp_path, junk, first):
    good = [bar(k).strip() for k in range(20)]
    text = HEADER + "\n".join(good[:1] + junk + good[1:] if first else good + junk)
    found = read(tmp_path, text)
    assert found.rows_read == len(found.columns) + len(found.rejected)
    ends = {(T0 + 60 * (k + 1)) * 10**9 for k in range(20)}
    assert ends <= set(found.columns.ts.tolist())
