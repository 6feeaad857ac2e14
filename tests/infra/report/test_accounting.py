"""The books of a run, kept again from its output files alone."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cli_harness import Files, backtest, simulated

from windvane.metamodel.base.rows import GAP, REPEATED, WARMUP

CAPITAL, FEE, SLIP, LOT = 1_000_000.0, 1e-4, 2e-4, 1e-8
DAY = 86_400_000_000_000
TICKS, WARM = 4_000, 512
COSTS = ("--fee-bp", 1, "--slippage-bp", 2, "--capital", 1_000_000)


@dataclass(frozen=True)
class Run:
    """A run and the market it was run on; delay: good rows from order to fill."""

    delay: int
    market: pd.DataFrame
    files: Files

    @property
    def signed(self) -> pd.DataFrame:
        """Fills with the sign of their side."""
        fills = self.files.fills
        return fills.assign(units=np.where(fills.side == "buy", fills.qty, -fills.qty))

    @property
    def equity(self) -> np.ndarray:
        """(n,) cash from fills plus units at the mid."""
        fills, rows = self.signed, len(self.market)
        cash, units = np.zeros(rows), np.zeros(rows)
        np.add.at(cash, fills.seq, -fills.units * fills.price - fills.fee)
        np.add.at(units, fills.seq, fills.units)
        return CAPITAL + cash.cumsum() + units.cumsum() * self.mid

    @property
    def mid(self) -> np.ndarray:
        return ((self.market.bid + self.market.ask) / 2).to_numpy()


@pytest.fixture(scope="module", params=[0, 1, 3], ids=lambda delay: f"delay{delay}")
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("accounting")
    market = simulated(folder / "market.parquet", TICKS, seed=7)
    found = backtest(folder / "market.parquet", folder / "out", *COSTS, "--delay", request.param)
    return Run(request.param, market, found)


def days_of(ts: np.ndarray, equity: np.ndarray) -> np.ndarray:
    """Daily returns from the first row on; days without rows are 0."""
    day = pd.Series(equity).groupby((ts - 1) // DAY).last()
    every = day.reindex(range(day.index[0], day.index[-1] + 1)).ffill()
    return np.diff(every.to_numpy(), prepend=CAPITAL) / CAPITAL


def test_rows_are_those_of_the_file(run: Run) -> None:
    d = run.files.decisions
    assert d.seq.tolist() == list(range(TICKS))
    assert d.ts.tolist() == run.market.ts.tolist()
    np.testing.assert_allclose(d.mid, run.mid, rtol=1e-15)
    assert (d["flags"] & WARMUP > 0).tolist() == [row < WARM for row in range(TICKS)]
    assert (run.files.metrics["ticks"], run.files.metrics["rejected"]) == (TICKS, 0)


def test_equity_and_position_follow_from_the_fills(run: Run) -> None:
    d = run.files.decisions
    units = np.zeros(TICKS)
    np.add.at(units, run.signed.seq, run.signed.units)
    np.testing.assert_allclose(d.position, units.cumsum() * run.mid / CAPITAL, rtol=0, atol=1e-9)
    np.testing.assert_allclose(d.equity, run.equity, rtol=0, atol=1e-3)


def test_fills_pay_the_quote_slippage_and_fee(run: Run) -> None:
    fills = run.signed
    row = run.market.loc[fills.seq]
    quote = np.where(fills.side == "buy", row.ask * (1 + SLIP), row.bid * (1 - SLIP))
    np.testing.assert_allclose(fills.price, quote, rtol=1e-14)
    np.testing.assert_allclose(fills.fee, fills.qty * fills.price * FEE, rtol=1e-12)
    assert fills.ts.tolist() == row.ts.tolist()


def test_every_order_fills_once_after_the_delay(run: Run) -> None:
    orders, fills = run.files.orders, run.files.fills
    assert len(orders) > 500
    assert orders.id.is_unique
    assert fills.id.is_unique
    joined = orders.merge(fills, left_on="id", right_on="order_id", how="left", suffixes=("", "_fill"))
    open_still = joined.id_fill.isna()
    assert (joined[open_still].seq >= TICKS - run.delay).all()
    done = joined[~open_still]
    assert len(done) == len(fills)
    assert (done.seq_fill - done.seq == run.delay).all()
    assert (done.qty_fill == done.qty).all()
    assert (done.side_fill == done.side).all()


def test_orders_bring_position_and_flight_to_the_target(run: Run) -> None:
    d, orders = run.files.decisions, run.files.orders
    ordered = np.zeros(TICKS)
    np.add.at(ordered, orders.seq, np.where(orders.side == "buy", orders.qty, -orders.qty))
    held = ordered.cumsum()
    np.testing.assert_allclose(d.target, held * run.mid / CAPITAL, rtol=0, atol=1e-9)
    wanted = d.wanted.clip(-1, 1) * CAPITAL / run.mid
    sent = orders.seq
    # Whole lots, toward zero; a verdict may leave less.
    free = d.verdict.loc[sent].astype(str).eq("").to_numpy()
    assert free.any()
    np.testing.assert_allclose(held[sent][free], wanted[sent][free], rtol=0, atol=2 * LOT)
    assert (np.abs(held[sent][free]) <= np.abs(wanted[sent][free]) + LOT / 2).all()
    np.testing.assert_allclose(orders.target_after, d.target.loc[sent], rtol=0, atol=1e-9)
    np.testing.assert_allclose(orders.price, run.mid[sent], rtol=1e-15)
    closes = held[sent] == 0
    assert (orders.qty * orders.price >= 1e-3 * CAPITAL * (1 - 1e-12))[~closes].all()
    assert (run.files.decisions.verdict.astype(str).loc[WARM:] == "min_order").any()


def test_the_figures_of_the_ensemble_follow_from_the_files(run: Run) -> None:
    ensemble = run.files.metrics["series"]["ensemble"]
    ts, equity = run.market.ts.to_numpy()[WARM:], run.equity[WARM:]
    returns = days_of(ts, equity)
    pnl = np.concatenate([[0.0], (equity - CAPITAL) / CAPITAL])
    fills = run.files.fills
    expected = {
        "days": len(returns),
        "total_return": returns.sum(),
        "sharpe": returns.mean() / returns.std(ddof=1) * 365**0.5,
        "volatility": returns.std(ddof=1) * 365**0.5,
        "days_won": (returns > 0).mean(),
        "max_drawdown": (np.maximum.accumulate(pnl) - pnl).max(),
        "turnover_per_day": (fills.qty * fills.price).sum() / CAPITAL / len(returns),
        "fees": fills.fee.sum(),
        "trades": len(fills),
    }
    assert {name: ensemble[name] for name in expected} == pytest.approx(expected, rel=1e-9)
    assert returns.sum() == pytest.approx((equity[-1] - CAPITAL) / CAPITAL)


def test_constant_exposure_follows_from_the_quotes(run: Run) -> None:
    lots = flying = 0
    cash, due, equity, turnover = CAPITAL, [0] * TICKS, [], 0.0
    for t, (bid, ask, mid) in enumerate(zip(run.market.bid, run.market.ask, run.mid, strict=True)):

        def fill(t: int = t, bid: float = bid, ask: float = ask) -> float:
            nonlocal lots, flying, cash
            units = due[t] * LOT
            amount = units * (ask * (1 + SLIP) if units > 0 else bid * (1 - SLIP))
            lots, flying, due[t] = lots + due[t], flying - due[t], 0
            cash -= amount + abs(amount) * FEE
            return abs(amount) / CAPITAL

        turnover += fill()
        if t >= WARM:
            lack = int(CAPITAL / mid / LOT) - lots - flying
            if abs(lack) * LOT * mid >= 1e-3 * CAPITAL and t + run.delay < TICKS:
                due[t + run.delay] += lack
                flying += lack
            turnover += fill() if run.delay == 0 else 0.0
        equity.append(cash + lots * LOT * mid)
    returns = days_of(run.market.ts.to_numpy()[WARM:], np.array(equity)[WARM:])
    series = run.files.metrics["series"]
    expected = {
        "total_return": returns.sum(),
        "sharpe": returns.mean() / returns.std(ddof=1) * 365**0.5,
        "turnover_per_day": turnover / len(returns),
    }
    found = series["agent:buy_and_hold"]
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-6)


def test_weights_are_a_capped_simplex(run: Run) -> None:
    weights = run.files.decisions.filter(regex="^weight_").to_numpy()
    assert weights.shape == (TICKS, 9)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-12)
    assert weights.min() >= -1e-15
    assert weights.max() <= 0.6 + 1e-12
    assert ((weights >= 0.05 - 1e-12).sum(axis=1) >= 3).all()
    assert weights[WARM:].std() > 0.01


def test_the_best_agent_and_the_gain_follow_from_the_series(run: Run) -> None:
    series = run.files.metrics["series"]
    agents = {name: s for name, s in series.items() if name.startswith("agent:")}
    best = max(agents, key=lambda name: agents[name]["sharpe"])
    assert series["best_agent_in_hindsight"] == {"name": best.removeprefix("agent:"), **agents[best]}
    gap = series["ensemble"]["sharpe"] - series["equal_weights"]["sharpe"]
    assert run.files.metrics["gain"]["sharpe"] == pytest.approx(gap)


def test_a_hole_delays_fills_to_good_rows(tmp_path: Path) -> None:
    simulated(tmp_path / "whole.parquet", 1_200, seed=3)
    whole = pd.read_parquet(tmp_path / "whole.parquet")
    market = whole.drop(index=range(800, 890)).reset_index(drop=True)
    market.to_parquet(tmp_path / "hole.parquet", index=False)
    found = backtest(tmp_path / "hole.parquet", tmp_path / "out", *COSTS, "--delay", 3)
    d, fills = found.decisions, found.fills
    assert np.flatnonzero(d["flags"] & GAP).tolist() == [800]
    good = np.flatnonzero((d["flags"] & REPEATED) == 0)
    asked = fills.order_id.str.split(".").str[1].astype(int)
    assert (np.searchsorted(good, fills.seq) - np.searchsorted(good, asked) == 3).all()
    assert 800 not in set(fills.seq) | set(found.orders.seq)
    assert found.orders[found.orders.seq.between(801, 803)].reduce_only.all()
    assert d.equity[800] == d.equity[799]
    quote = np.where(fills.side == "buy", market.ask[fills.seq], market.bid[fills.seq])
    np.testing.assert_allclose(fills.price, quote * np.where(fills.side == "buy", 1 + SLIP, 1 - SLIP))


def test_what_is_not_quoted_pays_the_half_spread(tmp_path: Path) -> None:
    simulated(tmp_path / "whole.parquet", 900, seed=3)
    market = pd.read_parquet(tmp_path / "whole.parquet", columns=["ts", "price", "size"])
    market.to_parquet(tmp_path / "plain.parquet", index=False)
    fills = backtest(tmp_path / "plain.parquet", tmp_path / "out", "--half-spread-bp", 5, "--fee-bp", 0).fills
    side = np.where(fills.side == "buy", 1 + 5e-4, 1 - 5e-4)
    np.testing.assert_allclose(fills.price, market.price[fills.seq] * side, rtol=1e-14)
    assert (fills.fee == 0).all()
