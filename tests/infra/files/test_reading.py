"""What a person says of a file, by options or in a layout of their own."""

import pytest
from market_tables import MARKET, is_the_market, lines, read

from windvane.infra.files.errors import InputError


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
