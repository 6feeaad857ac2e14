"""Settings that cannot be are refused with one sentence that says which, and what would do."""

import math
from typing import Any

import pytest

from windvane.metamodel.base.config import Costs, TradingConfig, digest
from windvane.metamodel.base.limits import RiskLimits
from windvane.metamodel.trading.risk import new_sent

POSITIVE = (
    *("max_spread_bp", "price_collar", "max_position", "max_notional", "max_order_qty", "max_orders"),
    *("max_turnover", "daily_loss", "max_drawdown", "var_95", "volatility_target", "kelly_fraction"),
)


def refused(kind: type, name: str, value: Any, **given: Any) -> None:
    with pytest.raises(ValueError) as error:
        kind(**{name: value}, **given)
    sentence = str(error.value)
    assert name in sentence
    assert "\n" not in sentence
    assert any(word in sentence for word in ("give", "needs"))


class TestCosts:
    @pytest.mark.parametrize("name", ["fee_bp", "slippage_bp", "half_spread_bp", "delay", "participation"])
    @pytest.mark.parametrize("value", [-1, math.nan, math.inf, 1001])
    def test_costs_have_ends(self, name: str, value: float) -> None:
        refused(Costs, name, value)


class TestTradingConfig:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("capital", 0.5),
            ("capital", math.nan),
            ("capital", math.inf),
            ("lot", 0.0),
            ("lot", 2.0),
            ("lot", math.nan),
            ("min_order", -1e-9),
            ("min_order", 1.0),
            ("min_order", math.nan),
            ("on_halt", "never"),
            ("fills", "real"),
            ("closing", "late"),
            ("interval", -1),
            ("stale_after", 0),
        ],
    )
    def test_a_book_has_ends(self, name: str, value: Any) -> None:
        refused(TradingConfig, name, value, agents=("a",))

    def test_agents_are_named_once(self) -> None:
        refused(TradingConfig, "agents", ())
        refused(TradingConfig, "agents", ("a", "b", "a"))
        refused(TradingConfig, "agents", tuple(f"a{k}" for k in range(65)))

    def test_resume_after_needs_rows(self) -> None:
        with pytest.raises(ValueError, match="resume-after needs a number of ticks"):
            TradingConfig(agents=("a",), on_halt="resume-after")
        assert TradingConfig(agents=("a",), on_halt="resume-after", resume_after=1).resume_after == 1


class TestRiskLimits:
    @pytest.mark.parametrize("name", POSITIVE)
    @pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf, -math.inf])
    def test_limits_are_numbers_above_zero(self, name: str, value: float) -> None:
        refused(RiskLimits, name, value)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            *(("max_position", 100.1), ("kelly_fraction", 1.01), ("max_orders", 0.5), ("max_orders", 1e12)),
            *(("orders_interval", 0), ("orders_interval", -1)),
        ],
    )
    def test_limits_have_sensible_ends(self, name: str, value: float) -> None:
        refused(RiskLimits, name, value)

    def test_ends_themselves_are_allowed(self) -> None:
        assert (
            RiskLimits(max_position=100, kelly_fraction=1.0, max_orders=1, orders_interval=1).max_orders == 1
        )
        assert Costs(fee_bp=0, slippage_bp=1000, half_spread_bp=1000, delay=64, participation=1).delay == 64
        assert TradingConfig(agents=("a",), capital=1, lot=1, min_order=0).capital == 1

    def test_the_ring_of_orders_holds_as_many_as_the_limit(self) -> None:
        assert new_sent(3, RiskLimits(max_orders=7)).shape == (3, 7)
        assert new_sent(3, RiskLimits()).shape == (3, 1)


class TestDigest:
    def test_equal_settings_have_one_digest(self) -> None:
        one = TradingConfig(agents=("a",), limits=RiskLimits(max_orders=3))
        assert digest(one) == digest(TradingConfig(limits=RiskLimits(max_orders=3), agents=("a",)))
        assert digest(one) != digest(TradingConfig(agents=("a",), limits=RiskLimits(max_orders=4)))
