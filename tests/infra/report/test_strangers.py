"""A run on a real market says that the shipped policies learned on simulated ones."""

import pytest

from windvane.agents.factory import AGENTS, RULES
from windvane.infra.report.agents import strangers_here
from windvane.metamodel.base.config import TradingConfig


def test_shipped_policies_are_strangers_on_a_real_market() -> None:
    (sentence,) = strangers_here(TradingConfig(agents=tuple(AGENTS)), "real")
    assert sentence.startswith("dqn, ppo, rainbow learned on SIMULATED markets")
    (sentence,) = strangers_here(
        TradingConfig(agents=("mine", "vol_trend"), kinds=("ppo", "vol_trend")), "real"
    )
    assert sentence.startswith("mine learned on")


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        (TradingConfig(agents=tuple(AGENTS)), "simulated"),
        (TradingConfig(agents=tuple(RULES)), "real"),
        (TradingConfig(agents=("dqn",), kinds=("policy",)), "real"),
        (TradingConfig(agents=("dqn",), kinds=("remote",)), "real"),
    ],
)
def test_nobody_else_is(config: TradingConfig, kind: str) -> None:
    assert strangers_here(config, kind) == []
