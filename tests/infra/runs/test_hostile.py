"""Bad rows through the whole pipeline: counted, told, and without any effect on the rows around them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cli_harness import Files, backtest, simulated

from windvane.agents.factory import RULES

ROWS, AT = 1_000, 700
SECOND = 1_000_000_000
DAY = 86_400 * SECOND
SIZES = ("size", "bid_size", "ask_size", "buy_size")


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    return simulated(tmp_path_factory.mktemp("hostile") / "market.parquet", ROWS, seed=5)


@pytest.fixture(scope="module")
def clean(market: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Files:
    return sent(market, tmp_path_factory.mktemp("clean"))


def sent(table: pd.DataFrame, folder: Path, *options: object) -> Files:
    """A run of a table; whatever it holds, every number that comes out is one and every row is accounted for."""
    table.to_parquet(folder / "m.parquet", index=False)
    found = backtest(folder / "m.parquet", folder / "out", *options)
    numbers = found.decisions.select_dtypes("number")
    bad = numbers.columns[~np.isfinite(numbers.to_numpy()).all(axis=0)]
    assert bad.empty, f"NaN or inf in {', '.join(bad)}"
    weights = found.decisions.filter(regex="^weight_").to_numpy()
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-9)
    rejected = found.metrics["rejected"]
    assert sum(found.metrics["rejected_by_reason"].values()) == rejected
    assert len(found.letters) == rejected
    assert len(found.decisions) + rejected == len(table)
    return found


def same(found: Files, clean: Files) -> None:
    """Decisions, orders and fills are those of the clean file."""
    pd.testing.assert_frame_equal(found.decisions, clean.decisions, check_exact=True)
    pd.testing.assert_frame_equal(found.orders, clean.orders, check_exact=True)
    pd.testing.assert_frame_equal(found.fills, clean.fills, check_exact=True)


def with_bad(market: pd.DataFrame, *bad: dict[str, float], at: int = AT) -> pd.DataFrame:
    """The market with copies of row `at` after it, a millisecond apart, each with some columns changed."""
    rows = []
    for k, columns in enumerate(bad, start=1):
        row = market.iloc[[at]].assign(ts=market.ts[at] + k * 1_000_000)
        rows.append(row.assign(**columns))
    return pd.concat([market.iloc[: at + 1], *rows, market.iloc[at + 1 :]], ignore_index=True)


def test_every_kind_of_bad_row_leaves_the_rest_alone(
    market: pd.DataFrame, clean: Files, tmp_path: Path
) -> None:
    ts, price, bid, ask = (market[name][AT] for name in ("ts", "price", "bid", "ask"))
    nan, inf = float("nan"), float("inf")
    bad: list[tuple[dict[str, float], str]] = [
        ({"price": nan}, "price is not a number"),
        ({"price": inf}, "price is not a positive number"),
        ({"price": -inf}, "price is not a positive number"),
        ({"price": 0.0}, "price is not a positive number"),
        ({"price": -5.0}, "price is not a positive number"),
        ({"bid": nan}, "bid is not a number"),
        ({"ask": inf}, "ask is not a positive number"),
        ({"bid": -1.0}, "bid is not a positive number"),
        ({"bid": ask, "ask": bid}, "crossed book: bid above ask"),
        ({"ts": 0}, "time before Bitcoin existed"),
        ({"ts": -5}, "time before Bitcoin existed"),
        ({"ts": 86_400 * SECOND}, "time before Bitcoin existed"),
        ({"ts": 2**62}, "time after 2100"),
        ({"ts": ts - 300 * DAY}, "time went back"),
        ({"ts": ts + 4_000 * DAY}, "time jumped far ahead"),
        (
            {"price": price * 1e9, "bid": bid * 1e9, "ask": ask * 1e9},
            "price jumped by more than a factor of 2",
        ),
        (
            {"price": price / 1e9, "bid": bid / 1e9, "ask": ask / 1e9},
            "price jumped by more than a factor of 2",
        ),
    ]
    found = sent(with_bad(market, *(columns for columns, _ in bad)), tmp_path)
    expected = pd.Series([reason for _, reason in bad]).value_counts().to_dict()
    assert found.metrics["rejected_by_reason"] == expected
    assert found.metrics["rejected"] == len(bad)
    same(found, clean)
    assert found.metrics["series"] == clean.metrics["series"]
    told = pd.Series([letter["reason"] for letter in found.letters]).value_counts().to_dict()
    assert told == expected


@pytest.mark.parametrize(
    "quotes",
    [
        {"price": 1e9},
        {"ask": 1e9},
        {"ask": 3.0},
        {"bid": 1e-9},
        {"bid": 1e-9, "ask": 1e9},
        {"bid": 1e9, "ask": 1e9},
        {"bid": 1e-9, "ask": 1e-9},
    ],
    ids=str,
)
def test_quotes_that_jump_never_move_the_account(
    market: pd.DataFrame, clean: Files, tmp_path: Path, quotes: dict[str, float]
) -> None:
    bad = {name: market[name][AT] * factor for name, factor in quotes.items()}
    found = sent(with_bad(market, bad), tmp_path)
    assert found.metrics["rejected"] == 1
    same(found, clean)


@pytest.mark.parametrize("size", [1e15, 1e100, 1e300, 1.7e308, -1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("columns", [("size",), ("bid_size", "ask_size"), ("size", "buy_size"), SIZES])
def test_sizes_that_no_market_has_spoil_no_number(
    market: pd.DataFrame, tmp_path: Path, columns: tuple[str, ...], size: float
) -> None:
    found = sent(with_bad(market, dict.fromkeys(columns, size)), tmp_path)
    assert found.metrics["rejected"] == 0
    after = found.decisions[found.decisions.ts > market.ts[AT]]
    assert after.target.nunique() > 100


def test_a_time_days_ahead_costs_no_rows_but_its_own(
    market: pd.DataFrame, clean: Files, tmp_path: Path
) -> None:
    found = sent(with_bad(market, {"ts": market.ts[AT] + 2 * DAY}), tmp_path)
    assert found.metrics["rejected"] <= 3


def test_duplicates_go_and_the_first_stays(market: pd.DataFrame, clean: Files, tmp_path: Path) -> None:
    table = market.iloc[np.sort(np.r_[np.arange(ROWS), 20, 600, 600, AT])]
    found = sent(table, tmp_path)
    assert found.metrics["rejected_by_reason"] == {"duplicate": 4}
    same(found, clean)


def test_rows_of_a_file_are_put_in_the_order_of_time(
    market: pd.DataFrame, clean: Files, tmp_path: Path
) -> None:
    shuffled = market.sample(frac=1.0, random_state=3)
    found = sent(shuffled, tmp_path)
    assert found.metrics["rejected"] == 0
    assert any("rows sorted by time" in note for note in found.metrics["notes"])
    same(found, clean)
    found = sent(with_bad(market, {"ts": market.ts[AT] - 2 * SECOND}), tmp_path)
    assert found.metrics["rejected"] == 0
    assert found.decisions.ts[AT] == market.ts[AT] - 2 * SECOND


def test_every_row_that_was_not_rejected_is_a_tick(market: pd.DataFrame, tmp_path: Path) -> None:
    found = sent(market.drop(index=range(600, 690)), tmp_path)
    assert found.metrics["rejected"] == 0
    assert found.metrics["rows"]["holes"] == 1
    assert found.metrics["ticks"] == ROWS - 90


def test_dead_letters_name_the_row_of_the_file(market: pd.DataFrame, tmp_path: Path) -> None:
    table = market.copy()
    table.loc[10, "price"] = np.nan
    table.loc[20, ["price", "bid", "ask"]] *= 5
    table.loc[AT, ["price", "bid", "ask"]] *= 5
    expected = {"m.parquet row 11", "m.parquet row 21", f"m.parquet row {AT + 1}"}
    assert {letter["source"] for letter in sent(table, tmp_path).letters} == expected


def test_what_is_outside_the_period_is_not_rejected(market: pd.DataFrame, tmp_path: Path) -> None:
    table = market.copy()
    table.loc[10, "price"] = np.nan
    table.loc[AT, "price"] *= 5
    table.to_parquet(tmp_path / "m.parquet", index=False)
    found = backtest(tmp_path / "m.parquet", tmp_path / "out", "--from", "2020-01-03")
    assert found.metrics["rejected"] == 1
    assert [letter["source"] for letter in found.letters] == [f"m.parquet row {AT + 1}"]


def test_a_price_level_that_stays_is_believed(market: pd.DataFrame, tmp_path: Path) -> None:
    table = market.copy()
    table.loc[AT:, ["price", "bid", "ask"]] *= 3
    found = sent(table, tmp_path)
    assert found.metrics["rejected_by_reason"] == {"price jumped by more than a factor of 2": 2}


def test_an_absurd_first_row_is_got_over(market: pd.DataFrame, tmp_path: Path) -> None:
    table = market.copy()
    table.loc[0, ["price", "bid", "ask"]] *= 1e9
    found = sent(table, tmp_path)
    assert found.metrics["rejected"] <= 3
    assert found.metrics["series"]["ensemble"]["max_drawdown"] < 1


@pytest.mark.parametrize("rows", [1, 2, 3, 10, 511, 512, 513, 514])
def test_few_rows_are_enough_to_finish(market: pd.DataFrame, tmp_path: Path, rows: int) -> None:
    found = sent(market.iloc[:rows], tmp_path)
    assert found.metrics["ticks"] == rows
    if rows <= 512:
        assert found.metrics["series"]["ensemble"]["total_return"] == 0
        assert found.orders.empty
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000


def test_a_constant_price_earns_nothing(market: pd.DataFrame, tmp_path: Path) -> None:
    found = sent(market.assign(price=100.0, bid=100.0, ask=100.0), tmp_path, "--fee-bp", 0)
    assert found.decisions.equity.sub(1_000_000).abs().max() < 1e-6  # rounding of a sum of lots
    assert abs(found.metrics["series"]["ensemble"]["total_return"]) < 1e-12


@pytest.mark.parametrize("scale", [1e-9, 1e6])
def test_the_unit_of_the_price_does_not_matter(market: pd.DataFrame, tmp_path: Path, scale: float) -> None:
    table = market.copy()
    table[["price", "bid", "ask"]] *= scale
    (tmp_path / "plain").mkdir()
    rules = ("--agents", ",".join(RULES))
    found, plain = sent(table, tmp_path, *rules), sent(market, tmp_path / "plain", *rules)
    assert found.metrics["rejected"] == 0
    assert len(found.fills) > 10  # how many there can be depends on what was traded, which is not scaled
    np.testing.assert_allclose(found.decisions.wanted, plain.decisions.wanted, atol=1e-6)


JUNK: dict[str, Callable[[pd.DataFrame], object]] = {
    "text": lambda m: "junk",
    "numbers": lambda m: m.regime + 50,
    "lists": lambda m: [[1, 2]] * len(m),
    "one missing": lambda m: m.regime.astype(float).where(m.index != 10),
    "one unknown": lambda m: m.regime.where(m.index != 10, 99),
}


@pytest.mark.parametrize("kind", JUNK)
def test_a_label_decides_nothing(market: pd.DataFrame, clean: Files, tmp_path: Path, kind: str) -> None:
    found = sent(market.assign(regime=JUNK[kind](market)), tmp_path)
    if found.metrics["rejected"] == 0:
        same(found, clean)
    assert found.metrics["rejected"] <= 1
