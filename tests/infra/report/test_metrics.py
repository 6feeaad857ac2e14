"""Figures against naive references, empyrical and the examples of the papers they are from."""

import math

import empyrical
import numpy as np
import pytest

from windvane.infra.report.curves import Curves
from windvane.infra.report.days import Days
from windvane.infra.report.metrics import figures
from windvane.infra.report.ratios import sharpe
from windvane.infra.report.significance import annual, expected_maximum, gain, moments, probabilistic, proof
from windvane.metamodel.base.times import DAY

CAPITAL = 1_000_000.0


def walk(n: int = 4_000, days: float = 60.0, k: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Irregular rows over some days, with two days that have none; (n,) ts and (n, k) equities."""
    rng = np.random.default_rng(seed)
    at = np.sort(rng.uniform(0.3, days, n))
    at = at[(at < 20) | (at > 22)]
    ts = 19_700 * DAY + (at * DAY).astype(np.int64)
    return ts, CAPITAL * (1 + np.cumsum(rng.normal(1e-4, 2e-3, (len(ts), k)), axis=0))


def naive(ts: np.ndarray, equity: np.ndarray) -> tuple[list[float], float]:
    """Daily returns and largest fall of one account, row by row."""
    first, last = (int(ts[0]) - 1) // DAY, (int(ts[-1]) - 1) // DAY
    close = {}
    peak, worst = 0.0, 0.0
    for t, e in zip(ts.tolist(), equity.tolist(), strict=True):
        pnl = (e - CAPITAL) / CAPITAL
        close[(t - 1) // DAY] = pnl
        peak = max(peak, pnl)
        worst = max(worst, peak - pnl)
    returns, before = [], 0.0
    for day in range(first, last + 1):
        returns.append(close.get(day, before) - before)
        before = close.get(day, before)
    return returns, worst


@pytest.mark.parametrize("cut", [1, 17, 1_000, 10_000])
def test_days_are_those_of_a_naive_loop_for_any_cut(cut: int) -> None:
    ts, equities = walk()
    days = Days(3, CAPITAL)
    for at in range(0, len(ts), cut):
        days.add(ts[at : at + cut], equities[at : at + cut])
    span = days.span()
    whole = Days(3, CAPITAL)
    whole.add(ts, equities)
    for column, same in zip(span, whole.span(), strict=True):
        np.testing.assert_array_equal(column, same)
    assert len(span.day) == 60
    for k in range(3):
        returns, worst = naive(ts, equities[:, k])
        np.testing.assert_allclose(span.returns[:, k], returns, atol=1e-12)
        assert (span.returns[20:22, k] == 0).sum() >= 1
        assert span.max_drawdown()[k] == pytest.approx(worst, rel=1e-12)


def test_figures_match_their_definitions_and_empyrical() -> None:
    ts, equities = walk(seed=1)
    days = Days(3, CAPITAL)
    days.add(ts, equities)
    one = figures(days.span(), 1)
    returns = np.array(naive(ts, equities[:, 1])[0])
    assert one["sharpe"] == pytest.approx(returns.mean() / returns.std(ddof=1) * math.sqrt(365))
    assert one["sharpe"] == pytest.approx(float(annual(returns)))
    assert one["volatility"] == pytest.approx(returns.std(ddof=1) * math.sqrt(365))
    assert one["sortino"] == pytest.approx(
        returns.mean() * 365 / (math.sqrt((np.minimum(returns, 0) ** 2).mean()) * math.sqrt(365))
    )
    assert one["sharpe"] == pytest.approx(empyrical.sharpe_ratio(returns, annualization=365))
    assert one["total_return"] == pytest.approx((equities[-1, 1] - CAPITAL) / CAPITAL)
    assert one["days_won"] == one["win_rate"] == (returns > 0).mean()
    assert one["profit_factor"] == pytest.approx(returns[returns > 0].sum() / -returns[returns < 0].sum())
    assert one["calmar"] == pytest.approx(returns.mean() * 365 / one["max_drawdown"])


def test_drawdown_adds_up_where_empyrical_compounds() -> None:
    days = Days(1, CAPITAL)
    equity = CAPITAL * np.array([[1.5], [1.0], [1.2], [0.9]])
    days.add(np.arange(1, 5) * DAY, equity)
    assert days.span().max_drawdown()[0] == pytest.approx(0.6)
    assert -empyrical.max_drawdown(np.diff(equity[:, 0], prepend=CAPITAL) / CAPITAL) != pytest.approx(0.6)


def test_the_flat_start_is_a_peak() -> None:
    days = Days(1, CAPITAL)
    days.add(np.array([DAY]), np.array([[0.9 * CAPITAL]]))
    assert days.span().max_drawdown()[0] == pytest.approx(0.1)


def test_a_day_ends_with_the_row_at_midnight() -> None:
    days = Days(1, CAPITAL)
    days.add(np.array([DAY, DAY + 1]), np.array([[CAPITAL], [1.01 * CAPITAL]]))
    span = days.span()
    assert span.day.tolist() == [0, 1]
    np.testing.assert_allclose(span.returns[:, 0], [0.0, 0.01])


def test_time_must_not_fall() -> None:
    days = Days(1, CAPITAL)
    with pytest.raises(ValueError, match="back in time"):
        days.add(np.array([5, 4]), np.full((2, 1), CAPITAL))


@pytest.mark.parametrize("returns", [[], [0.01], [0.0, 0.0, 0.0], [0.1, 0.1, 0.1]])
def test_a_ratio_is_not_known_where_nothing_moves(returns: list[float]) -> None:
    assert sharpe(np.array(returns)) is None
    assert math.isnan(annual(np.array(returns)))
    moving = np.linspace(-0.1, 0.1, len(returns))
    for pair in ((np.array(returns), moving), (moving, np.array(returns))):
        found = gain(*pair, 0)
        assert found[:4] == (None, None, None, None)
        assert found.sentence.startswith("no gain can be said")
    assert proof(np.array(returns), np.array([1.0, 2.0])) == (None, None)


def test_probabilistic_sharpe_of_the_paper() -> None:
    """Bailey and Lopez de Prado 2012: 24 months, Sharpe 0.458 a month, skewness -2.448, kurtosis 10.164."""
    assert probabilistic(0.458, 24, 0.0, 3.0) == pytest.approx(0.982, abs=5e-4)
    assert probabilistic(0.458, 24, -2.448, 10.164) == pytest.approx(0.913, abs=5e-4)


def test_deflated_sharpe_of_the_paper() -> None:
    """Bailey and Lopez de Prado 2014: Sharpe 2.5 a year of 250 days, 1250 days, variance 1/2, 100 trials."""
    bar = expected_maximum(0.5 / 250, 100)
    assert bar == pytest.approx(0.1132, abs=5e-5)
    assert probabilistic(2.5 / math.sqrt(250), 1250, -3.0, 10.0, bar) == pytest.approx(0.9004, abs=5e-4)


def test_moments_are_those_of_scipy() -> None:
    from scipy.stats import kurtosis, skew

    x = np.random.default_rng(0).standard_t(5, 500)
    assert moments(x) == pytest.approx((skew(x), kurtosis(x, fisher=False)))


def test_gain_is_seeded_and_honest() -> None:
    rng = np.random.default_rng(4)
    common = rng.normal(0, 0.01, 400)
    better = common + rng.normal(0.002, 0.002, 400)
    assert gain(better, common, 1) == gain(better, common, 1)
    assert gain(better, common, 1).low != gain(better, common, 2).low
    found = gain(better, common, 1)
    assert found.low is not None
    assert found.high is not None
    assert 0 < found.low < found.sharpe < found.high
    assert found.p is not None
    assert found.p < 0.01
    assert (found.days, found.blocks) == (400, 20)
    same = gain(common, common, 1)
    assert (same.sharpe, same.low, same.high, same.p) == (0.0, 0.0, 0.0, 1.0)
    assert same.sentence.endswith("not proven")


def test_gain_draws_what_a_loop_draws() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.normal(0.001, 0.01, (2, 61))
    starts = np.random.default_rng(9).integers(0, 61, size=(2_000, 4))
    draws = []
    for row in starts.tolist():
        days = [(s + i) % 61 for s in row for i in range(20)][:61]
        draws.append(float(annual(a[days]) - annual(b[days])))
    found = gain(a, b, 9)
    assert [found.low, found.high] == pytest.approx(np.percentile(draws, [2.5, 97.5]).tolist())


def test_too_few_days_give_no_interval() -> None:
    found = gain(np.linspace(-1, 1, 39), np.linspace(1, -1, 39), 0)
    assert (found.low, found.high, found.p) == (None, None, None)
    assert found.sentence.endswith("an interval takes 40 days or more, these are 39")


@pytest.mark.parametrize("cut", [1, 7, 100, 5_000])
def test_curves_keep_extremes_and_means_for_any_cut(cut: int) -> None:
    rng = np.random.default_rng(0)
    n = 3_001
    ts, values = np.arange(n) * 1_000_000, rng.integers(-50, 50, (n, 2)).astype(np.float64)
    curves = Curves({"low": "max", "mean": "mean", "last": "last"}, most=64)
    for at in range(0, n, cut):
        part = values[at : at + cut]
        curves.add(ts[at : at + cut], low=part, mean=part, last=part)
    assert curves.width == 64
    assert curves.points == -(-n // 64)
    buckets = [values[at : at + 64] for at in range(0, n, 64)]
    np.testing.assert_array_equal(curves["low"], [b.max(axis=0) for b in buckets])
    np.testing.assert_allclose(curves["mean"], [b.mean(axis=0) for b in buckets])
    np.testing.assert_array_equal(curves["last"], [b[-1] for b in buckets])
    assert curves.milliseconds.tolist() == [float(min(at + 63, n - 1)) for at in range(0, n, 64)]


class TestUnknown:
    """What cannot be said is None in metrics.json, and is compared with nothing."""

    def test_figures_of_no_day(self) -> None:
        one = figures(Days(1, CAPITAL).span(), 0)
        assert {name: value for name, value in one.items() if value is not None} == {
            "max_drawdown": 0.0,
            "total_return": 0.0,
            "days": 0,
        }

    def test_figures_of_days_on_which_nothing_was_traded(self) -> None:
        days = Days(1, CAPITAL)
        days.add(np.arange(1, 5) * DAY, np.full((4, 1), CAPITAL))
        one = figures(days.span(), 0)
        assert (one["sharpe"], one["sortino"], one["calmar"], one["profit_factor"]) == (
            None,
            None,
            None,
            None,
        )
        assert (one["volatility"], one["win_rate"], one["total_return"]) == (0.0, 0.0, 0.0)

    def test_a_series_that_hardly_ever_moves_has_an_interval_of_the_draws_that_are_known(self) -> None:
        rare = np.zeros(60)
        rare[30] = 0.01
        found = gain(rare, np.random.default_rng(0).normal(0, 0.01, 60), 0)
        assert found.low is not None
        assert found.high is not None
        assert found.low <= found.high
        assert found.p is not None
        assert 0.0 < found.p <= 1.0
