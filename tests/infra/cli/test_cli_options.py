"""Options that cannot be: one sentence each, which says what would be valid, and nothing touched."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cli_harness import backtest, refusal, simulated, windvane

STEP = 900_000_000_000
HOUR = 3_600_000_000_000
DAY = 24 * HOUR
FALL, ROWS = 600, 1_000


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("options") / "market.parquet"
    simulated(file, 600, seed=2)
    return file


REFUSED = [
    (["--fee-bp", "-1"], "0 to 1000"),
    (["--fee-bp", "nan"], "0 to 1000"),
    (["--slippage-bp", "inf"], "0 to 1000"),
    (["--half-spread-bp", "-3"], "0 to 1000"),
    (["--participation", "2"], "from 0 to 1"),
    (["--delay", "-1"], "0 to 64"),
    (["--delay", "65"], "0 to 64"),
    (["--capital", "0"], "1 to 1e12"),
    (["--capital", "nan"], "1 to 1e12"),
    (["--capital", "1e300"], "1 to 1e12"),
    (["--bars", "7x"], "15m"),
    (["--bars", ""], "15m"),
    (["--bars", "0m"], "15m"),
    (["--bars", "15M"], "15m"),
    (["--bars", "900d"], "15m"),
    (["--agents", ""], "agents is empty: give some of ema_momentum"),
    (["--agents", "vol_trend,vol_trend"], "named twice"),
    (["--from", "yesterday"], "2019-04-01"),
    (["--from", "2020-13-01"], "2019-04-01"),
    (["--from", "2020-01-05", "--to", "2020-01-02"], "swap or widen"),
    (["--from", "2031-01-01"], "covers 2020-01-01T00:15:00 to"),
    (["--to", "2010-01-01"], "covers 2020-01-01T00:15:00 to"),
    (["--batch", "0"], "1 or more"),
    (["--batch", "-4"], "1 or more"),
    (["--on-halt", "never"], "stop, next-day"),
    (["--on-halt", "resume-after"], "N ticks"),
    (["--on-halt", "resume-after -3"], "N ticks"),
    (["--journal", "all"], "inputs or full"),
    (["--book", ""], "without slashes"),
    (["--book", "a/b"], "without slashes"),
]


@pytest.mark.parametrize(("words", "valid"), REFUSED, ids=[" ".join(words) for words, _ in REFUSED])
def test_a_bad_option_is_refused_in_a_sentence(
    market: Path, tmp_path: Path, words: list[str], valid: str
) -> None:
    sentence = refusal(windvane("backtest", market, "--out", tmp_path / "out", *words))
    assert valid in sentence
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["--fee-bp", "cheap"],
        ["--delay", "1.5"],
        ["--seed", "x"],
        ["--batch", "many"],
        ["--nope"],
        ["extra"],
        ["--out"],
    ],
    ids=" ".join,
)
def test_what_does_not_parse_is_refused_in_a_sentence(market: Path, tmp_path: Path, words: list[str]) -> None:
    refusal(windvane("backtest", market, "--out", tmp_path / "out", *words))


@pytest.mark.parametrize("option", ["--from", "--to"])
def test_a_date_is_refused_under_the_name_it_was_given(market: Path, tmp_path: Path, option: str) -> None:
    assert option in refusal(windvane("backtest", market, "--out", tmp_path, option, "soon"))


@pytest.mark.parametrize("seed", [2**63, 10**30, -(10**30)])
def test_a_seed_beyond_64_bits_is_refused(market: Path, tmp_path: Path, seed: int) -> None:
    refusal(windvane("backtest", market, "--out", tmp_path / "out", "--seed", seed))
    assert not (tmp_path / "out").exists()


def test_so_many_ticks_to_resume_after_are_refused(market: Path, tmp_path: Path) -> None:
    refusal(windvane("backtest", market, "--out", tmp_path / "out", "--on-halt", f"resume-after {10**30}"))


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (["--agents", "ema_momentun"], "ema_momentum"),
        (["--agents", "vol_trend,donchian"], "donchian_breakout"),
        (["--preset", "balance"], "balanced"),
        (["--preset", "Conservative"], "conservative"),
    ],
)
def test_an_unknown_name_gets_the_nearest(market: Path, tmp_path: Path, words: list[str], near: str) -> None:
    assert f"did you mean {near!r}?" in refusal(windvane("backtest", market, "--out", tmp_path, *words))


@pytest.mark.parametrize(
    ("words", "valid"),
    [
        (["--ticks", 0], "at least 1"),
        (["--ticks", -5], "at least 1"),
        (["--seed", -1], "0 or more"),
        (["--market", "standart"], "standard, mild, hard, swapped, null"),
        (["--out", "{}"], ""),
    ],
)
def test_simulate_refuses_in_a_sentence(tmp_path: Path, words: list[object], valid: str) -> None:
    words = [str(word).format(tmp_path) for word in words]
    out = [] if "--out" in words else ["--out", tmp_path / "m.parquet"]
    sentence = refusal(windvane("simulate", "--ticks", 10, *out, *words))
    assert valid in sentence
    assert "[Errno" not in sentence


def test_an_out_that_is_no_folder_is_refused(market: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    for out in (tmp_path / "taken", tmp_path / "taken" / "below"):
        refusal(windvane("backtest", market, "--out", out))
    assert (tmp_path / "taken").read_text() == "mine"


def test_files_of_others_in_out_survive(market: Path, tmp_path: Path) -> None:
    diary = tmp_path / "journal" / "diary.txt"
    diary.parent.mkdir()
    diary.write_text("dear diary")
    windvane("backtest", market, "--out", tmp_path)
    assert diary.is_file()
    windvane("backtest", market, "--out", tmp_path / "run")
    windvane("replay", tmp_path / "run", "--out", tmp_path)
    assert diary.is_file()


@pytest.fixture(scope="module")
def crash(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A calm rise, then a fall by a third from 09:00 on, then calm again for days."""
    file = tmp_path_factory.mktemp("crash") / "crash.parquet"
    rng = np.random.default_rng(0)
    step = rng.normal(2e-4, 1e-3, ROWS)
    step[FALL : FALL + 25] = -0.016
    step[FALL + 25 :] += 1e-4
    first = 1_577_836_800_000_000_000 + 9 * HOUR - FALL * STEP + 10 * DAY
    ts = first + np.arange(ROWS) * STEP
    price = 10_000 * np.exp(np.cumsum(step))
    pd.DataFrame({"ts": ts, "price": price, "size": 1.0}).to_parquet(file, index=False)
    return file


@pytest.mark.parametrize(
    "words", [["stop"], ["next-day"], ["resume-after 40"], ["resume-after=40"], ["resume-after", "40"]]
)
def test_after_a_halt(crash: Path, tmp_path: Path, words: list[str]) -> None:
    options = ["--agents", "buy_and_hold", "--preset", "aggressive", "--delay", 0]
    found = backtest(crash, tmp_path, *options, "--on-halt", *words)
    d, risk = found.decisions, found.metrics["risk"]
    assert d.position[FALL - 1] == pytest.approx(1.0, abs=0.01)
    flat = np.flatnonzero((d.position == 0) & (d.seq >= FALL))
    assert risk["halts"] == 1
    assert FALL < flat[0] < FALL + 25
    assert found.metrics["verdicts"]["daily_loss"] == 1
    later = d[d.seq > flat[0]]
    if words == ["stop"]:
        assert (later.position == 0).all()
        return
    back = later[later.position > 0].iloc[0]
    if words == ["next-day"]:
        midnight = d.ts[FALL] // DAY * DAY + DAY
        assert back.ts == midnight + STEP  # a row at midnight belongs to the day that ends
    else:
        assert back.seq == flat[0] + 40
