"""`windvane inspect` tells how a file would be read, and a backtest of it reads it so."""

import json
from pathlib import Path
from typing import Any

import pytest
from cli_harness import files, refusal, windvane
from market_tables import BARS, MARKET, PRINTS, T0, day, lines

from windvane.infra.files.inspection import moment

HEAD = "timestamp,open,high,low,close,volume"
COMMANDS = ("inspect", "backtest")


def bar(b: Any) -> str:
    return f"{b.t},{b.open},{b.high},{b.low},{b.close},{b.volume}"


@pytest.fixture
def market(tmp_path: Path) -> Path:
    (tmp_path / "m.csv").write_text(lines(HEAD, MARKET, bar))
    return tmp_path / "m.csv"


def inspected(file: Path, *words: object) -> dict[str, Any]:
    ran = windvane("inspect", file, *words, "--json")
    assert (ran.code, ran.err) == (0, ""), ran
    facts: dict[str, Any] = json.loads(ran.out)
    return facts


def test_what_it_tells(market: Path) -> None:
    facts = inspected(market)
    told = {
        "layout": "bars",
        "rows": BARS,
        "first": moment((T0 + 60) * 10**9),
        "last": moment((T0 + 60 * BARS) * 10**9),
        "bars": "1m",
        "volume": pytest.approx(sum(b.volume for b in MARKET)),
        "buy_volume": None,
        "rejected": 0,
        "columns": {"ts": "timestamp", "high": "high", "low": "low", "close": "close", "size": "volume"},
        "unread": ["open"],
        "runs": True,
        "refusal": None,
    }
    assert {name: facts[name] for name in told} == told
    assert [row["price"] for row in facts["head"]] == [b.close for b in MARKET[:3]]
    assert [row["price"] for row in facts["tail"]] == [b.close for b in MARKET[-3:]]
    ran = windvane("inspect", market)
    assert ran.out.startswith("m.csv: bars, recognised by the names of its columns\n")
    assert "not read  open" in ran.out


def test_what_would_be_rejected_and_why(tmp_path: Path) -> None:
    wrong = [b._replace(close=b.high * 1.01) if k % 10 == 0 else b for k, b in enumerate(MARKET)]
    (tmp_path / "m.csv").write_text(lines(HEAD, [*wrong, MARKET[-1]], bar))
    facts = inspected(tmp_path / "m.csv")
    assert facts["rejected_by_reason"] == {"close is outside low to high": 12, "duplicate": 1}
    assert (facts["rejected"], facts["harmless"], facts["runs"]) == (13, 1, False)
    assert facts["letters"][0] == {"row": 1, "reason": "close is outside low to high"}
    assert refusal(windvane("backtest", tmp_path / "m.csv", "--out", tmp_path / "out")) == facts["refusal"]
    assert facts["refusal"] in windvane("inspect", tmp_path / "m.csv").out


def test_it_is_read_as_a_backtest_reads_it(market: Path, tmp_path: Path) -> None:
    words = (
        "--bars",
        "5m",
        "--from",
        day(MARKET[10], "%Y-%m-%dT%H:%M"),
        "--to",
        day(MARKET[-9], "%Y-%m-%dT%H:%M"),
    )
    facts = inspected(market, *words)
    assert windvane("backtest", market, *words, "--out", tmp_path / "out").code == 0
    metrics = files(tmp_path / "out").metrics
    assert facts["rows"] == metrics["ticks"]
    assert [facts["first"], facts["last"]] == [metrics["data"]["first"], metrics["data"]["last"]]
    assert f"{facts['bars']} bars" == metrics["data"]["bars"]


def same(file: Path, *words: object, price: float = MARKET[-1].close) -> None:
    """Whether both commands read the market with these words, of which each is needed."""
    facts = inspected(file, *words)
    assert (facts["first"], facts["last"]) == (moment((T0 + 60) * 10**9), moment((T0 + 60 * BARS) * 10**9))
    assert facts["price_last"] == price
    for k in range(0, len(words), 2):
        fewer = windvane("inspect", file, *words[:k], *words[k + 2 :], "--json")
        if fewer.code == 0:
            other = json.loads(fewer.out)
            keys = ("first", "last", "price_last", "volume", "buy_volume", "runs")
            assert [other[key] for key in keys] != [facts[key] for key in keys], words[k]
        else:
            refusal(fewer)
    out = file.parent / "out"
    assert windvane("backtest", file, *words, "--out", out).code == 0
    assert files(out).metrics["ticks"] == facts["rows"]
    assert files(out).metrics["data"]["last"] == facts["last"]


def test_columns(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(lines("a,b,c", MARKET, lambda b: f"{b.close},{b.volume},{b.t}"))
    same(tmp_path / "m.csv", "--columns", "close,volume,ts")
    same(tmp_path / "m.csv", "--columns", "ts=c,close=a")


def test_stamp(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(lines("ts,close", MARKET, lambda b: f"{b.t + 60},{b.close}"))
    same(tmp_path / "m.csv", "--stamp", "close")


def test_symbol_and_its_column(tmp_path: Path) -> None:
    rows = [(b, k) for b in MARKET for k in (1, 2)]
    form = lambda row: f"{row[0].t},{row[0].close * row[1]},{'AB'[row[1] - 1]}"  # noqa: E731
    (tmp_path / "m.csv").write_text(lines("ts,close,word", rows, form))
    same(tmp_path / "m.csv", "--symbol", "B", "--symbol-column", "word", price=MARKET[-1].close * 2)


def test_side_codes(tmp_path: Path) -> None:
    form = lambda p: f"{p.t},{p.price},{p.size},{int(not p.bought)}"  # noqa: E731
    (tmp_path / "m.csv").write_text(lines("ts,price,qty,side", PRINTS, form))
    bought = pytest.approx(sum(p.size for p in PRINTS if p.bought))
    assert inspected(tmp_path / "m.csv")["buy_volume"] is None
    assert inspected(tmp_path / "m.csv", "--side-codes", "buy=0,sell=1")["buy_volume"] == bought


def test_decimal_and_encoding(tmp_path: Path) -> None:
    text = lines("ts;close", MARKET, lambda b: f"{b.t};62,{int(b.close) % 1000:03}")
    (tmp_path / "m.csv").write_bytes(text.encode("cp037"))
    price = 62_000 + int(MARKET[-1].close) % 1000
    same(tmp_path / "m.csv", "--decimal", ".", "--encoding", "cp037", price=price)


def test_layout(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(lines(None, MARKET, lambda b: f"{b.close},{b.t + 60}"))
    (tmp_path / "mine.toml").write_text('columns = "close,ts"\nstamp = "close"\n')
    same(tmp_path / "m.csv", "--layout", tmp_path / "mine.toml")
    assert inspected(tmp_path / "m.csv", "--layout", tmp_path / "mine.toml")["layout"] == "mine"
    facts = inspected(tmp_path / "m.csv", "--layout", tmp_path / "mine.toml", "--stamp", "open")
    assert facts["first"] == moment((T0 + 120) * 10**9)


def test_max_rejected(tmp_path: Path) -> None:
    wrong = [
        b._replace(close=b.high * 1.01) if 0 < k < BARS - 1 and k % 10 == 0 else b
        for k, b in enumerate(MARKET)
    ]
    (tmp_path / "m.csv").write_text(lines(HEAD, wrong, bar))
    same(tmp_path / "m.csv", "--max-rejected", "20")


@pytest.mark.parametrize("command", COMMANDS)
def test_an_option_that_cannot_be_meant_is_one_sentence(command: str, market: Path) -> None:
    assert refusal(windvane(command, market, "--stamp", "end")) == "--stamp is 'end': give open or close"
    assert "--layout" in refusal(windvane(command, market, "--layout", market.parent / "none.toml"))


def test_a_replay_through_kafka_takes_them_too(market: Path) -> None:
    words = ("--bootstrap", "127.0.0.1:1", "--book", "b", "--stamp", "end")
    assert refusal(windvane("replay", "file", market, *words)) == "--stamp is 'end': give open or close"


@pytest.mark.parametrize("option", ["--book", "--symbol"])
def test_names_that_no_file_can_hold(market: Path, option: str) -> None:
    sentence = refusal(windvane("backtest", market, option, "b\udce9", "--out", market.parent / "out"))
    assert sentence.endswith("give a name of letters that can be printed")


def test_names_that_no_terminal_can_print(market: Path, tmp_path: Path) -> None:
    for name in ("BTC [bold] [binance].csv", "btc\udce9.csv"):
        file = market.rename(tmp_path / name)
        facts = inspected(file)
        assert facts["file"] == name.replace("\udce9", "\ufffd")
        for out in ("out[/b]", "out\udce9"):
            assert windvane("backtest", file, "--out", tmp_path / out).code == 0
            plain = (tmp_path / out).rename(tmp_path / f"{len(out)}{len(name)}")
            assert files(plain).metrics["data"]["file"] == facts["file"]
        market = file
