"""What a simulated market offers, on small cases that can be worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from windvane.agents.factory import RULES
from windvane.infra.evaluation.calibration import calibrate, earnings, oracle_weights, sharpe


class TestEarnings:
    def test_earnings_by_hand(self) -> None:
        target = np.array([1.0, -0.5, -0.5, 0.0])
        r = np.array([0.1, 0.02, -0.01, 0.03])
        cost = np.array([0.001, 0.002, 0.003, 0.004])
        g = earnings(target, r, cost)
        np.testing.assert_allclose(g, [0.0, 0.02 - 0.001, 0.005 - 1.5 * 0.002, -0.015])
        both = earnings(np.stack([target, -target], axis=1), r, cost)
        np.testing.assert_array_equal(both[:, 0], g)


class TestSharpe:
    def test_sharpe_sums_over_utc_days_and_midnight_ends_the_day(self) -> None:
        ts = pd.date_range("2020-01-01T00:15", periods=960, freq="15min", tz="UTC")
        g = np.random.default_rng(0).normal(1e-4, 1e-3, 960)
        days = pd.Series(g, ts - pd.Timedelta(1, "ns")).resample("D").sum()
        assert len(days) == 10
        assert sharpe(g, ts.as_unit("ns").asi8) == pytest.approx(days.mean() / days.std() * np.sqrt(365))


class TestOracle:
    def test_oracle_weights_stay_on_the_capped_simplex(self) -> None:
        rng = np.random.default_rng(1)
        mean = np.array([0.5, 0.0, -0.5, 0.1, 0.0, 0.0])
        weights = oracle_weights(mean + rng.normal(size=(500, 6)), np.zeros(500, np.int64))
        np.testing.assert_allclose(weights.sum(axis=1), 1.0)
        assert weights[0].max() == weights[0, 0] == pytest.approx(0.6)
        assert (weights[0] > 0.049).sum() >= 3
        np.testing.assert_allclose(weights[1:], 1 / 6)

    def test_an_oracle_beats_the_best_agent_and_the_best_beats_equal_weights(self) -> None:
        for found in calibrate("standard", [0, 1], 60_000):
            assert len(found.agents) == len(RULES)
            assert found.oracle > found.best > found.equal


class TestCalibrate:
    def test_too_few_ticks_are_refused(self) -> None:
        with pytest.raises(ValueError, match="give more than 5000 and two days"):
            calibrate("standard", [0], 5_000)
