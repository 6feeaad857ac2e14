"""Six agents that are fixed rules on price, from the literature on trends, reversion and breakouts."""

from windvane.agents.rules.buy_and_hold import BuyAndHold
from windvane.agents.rules.donchian_breakout import DonchianBreakout
from windvane.agents.rules.ema_momentum import EmaMomentum
from windvane.agents.rules.jump_contrarian import JumpContrarian
from windvane.agents.rules.rule import RuleAgent
from windvane.agents.rules.vol_trend import VolTrend
from windvane.agents.rules.zscore_reversion import ZscoreReversion

__all__ = [
    "BuyAndHold",
    "DonchianBreakout",
    "EmaMomentum",
    "JumpContrarian",
    "RuleAgent",
    "VolTrend",
    "ZscoreReversion",
]
