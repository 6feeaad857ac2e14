"""No setting of a book is decoration: each of the frozen settings changes what is seen of a run, or is refused.

The parameters of MetaLearningConfig have the same in tests/guide/test_effects.py.
"""

import hashlib
from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec
import numpy as np
import pytest

from retrained_book import FakeTrainer
from simulated_book import config, opening, ticks
from windvane.agents.factory import RULES
from windvane.metamodel.base.config import ConfigError, Costs, TradingConfig, WeighingConfig, digest
from windvane.metamodel.base.limits import RiskLimits
from windvane.metamodel.trader.trader import MetaLearningRiskManagedEnsemble
from windvane.streams.codec import to_json
from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.ensemble_stage import EnsembleStage
from windvane.streams.events import (
    BookClosed,
    BookOpened,
    Control,
    DeadLetter,
    Decisions,
    Event,
    Features,
    Orders,
    Proposals,
    Ticks,
)
from windvane.streams.records import order_lines
from windvane.streams.round_timer import RoundTimer
from windvane.streams.stage import OpenRounds

ROWS = 1000
PARTS = {"costs": Costs, "limits": RiskLimits, "weighing": WeighingConfig}
WEIGHING = WeighingConfig(meta_training_frequency=3, learner_lag=7, retraining=True)
Witness = Callable[[TradingConfig], Any]


@cache
def rows(bare: bool) -> Ticks:
    whole = ticks(ROWS, seed=3)
    return msgspec.structs.replace(whole, bid=None, ask=None) if bare else whole


def run(settings: TradingConfig, bare: bool = False) -> str:
    """A digest of all that the stages emit: rows, versions, requests for trainings, and orders as people read them."""
    found = hashlib.sha256()

    def take(event: Event) -> None:
        if isinstance(event, BookOpened):
            return  # it holds the settings themselves
        for value in msgspec.structs.asdict(event).values():
            found.update(value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode())
        if isinstance(event, Orders):
            found.update(b"".join(line for _, line in order_lines(event, settings.symbol)))

    trainer = FakeTrainer(features=settings.weighing.features)
    runner = EmbeddedRunner(
        lambda topic, event: None if isinstance(event, Ticks) else take(event), trainer=trainer
    )
    runner.feed([opening(settings), rows(bare), BookClosed(book="book", last=ROWS - 1)])
    for request in trainer.asked:
        take(request)
    return found.hexdigest()


def without_quotes(settings: TradingConfig) -> str:
    return run(settings, bare=True)


def waits(settings: TradingConfig) -> bool:
    """Whether a round whose proposals do not come can be closed."""
    stage = EnsembleStage(None)
    stage.step([opening(settings)])
    stage.step([features()])
    return bool(stage.open_rounds())


@cache
def features() -> Features:
    seen: list[Event] = []
    EmbeddedRunner(lambda topic, event: seen.append(event)).feed([opening(config()), ticks(5)])
    return next(e for e in seen if isinstance(e, Features))


def late(settings: TradingConfig) -> tuple[bool, bool]:
    """Whether a round is late after half a second, and 300 rows behind."""
    timer, one = RoundTimer(), {"book": OpenRounds(0, 1, settings)}
    timer.watch(one, 0)
    many = {"book": OpenRounds(0, 301, settings)}
    return timer.watch(one, 500_000_000), RoundTimer().watch(many, 0)


def ahead(settings: TradingConfig) -> int:
    """Rows that are refused of a market whose rows come ten seconds before their time."""
    seen: list[Event] = []
    early = msgspec.structs.replace(rows(False), received=rows(False).ts - 10 * 10**9)
    trainer = FakeTrainer(features=settings.weighing.features)
    runner = EmbeddedRunner(lambda topic, event: seen.append(event), trainer=trainer)
    runner.feed([opening(settings), early])
    return sum(isinstance(e, DeadLetter) for e in seen)


def next_time(settings: TradingConfig) -> int:
    """When a row is that comes after another and tells no time."""
    whole = MetaLearningRiskManagedEnsemble(settings)
    told = [whole.get_trading_action([0.0] * 50, 100.0)[1]["ts"] for _ in range(2)]
    return int(told[1] - told[0])


def recorded(settings: TradingConfig) -> bytes:
    """What the log says of a book, by which its digest does not go."""
    assert digest(settings) == digest(msgspec.structs.replace(settings, versions=(), shadow_versions=()))
    return to_json(opening(settings))


def refused(settings: TradingConfig) -> None:
    raise AssertionError("this was to be refused")


def woken(settings: TradingConfig) -> bytes:
    """The weights of a book of which a seat is woken."""
    seen: list[Event] = []
    trainer = FakeTrainer(features=settings.weighing.features)
    runner = EmbeddedRunner(lambda topic, event: seen.append(event), trainer=trainer)
    runner.feed([opening(settings)])
    order = Control(book="book", number=1, action="wake", effective_from=600, agent="vol_trend")
    runner.control([order])
    runner.feed([rows(False)])
    return b"".join(e.weights.tobytes() for e in seen if isinstance(e, Decisions))


def unproven(settings: TradingConfig) -> int:
    """Letters for proposals that nobody has signed."""
    seen: list[Event] = []
    EmbeddedRunner(lambda topic, event: seen.append(event)).feed([opening(config()), ticks(5)])
    (said,) = (e for e in seen if isinstance(e, Proposals))
    out = EnsembleStage(None).step([opening(settings), msgspec.structs.replace(said, unproven=True)])
    return sum(isinstance(e, DeadLetter) for e in out)


HALTS = {"limits.daily_loss": 1e-4}
EFFECTS: dict[str, tuple[Any, dict[str, Any], Witness]] = {
    "symbol": ("ETHUSD", {}, run),
    "fills": ("venue", {}, refused),
    "closing": ("timed", {}, waits),
    "round_timeout": (600_000_000, {"closing": "timed"}, late),
    "quorum_lag": (200, {"closing": "timed"}, late),
    "interval": (60_000_000_000, {}, next_time),
    "stale_after": (10**12, {}, run),
    "most_ahead": (10**9, {"closing": "timed"}, ahead),
    "agents": (("vol_trend", "buy_and_hold"), {"weighing.retraining": False}, run),
    "kinds": (tuple(RULES)[::-1], {}, run),
    "versions": (("7",) * len(RULES), {}, recorded),
    "seats": (("vol_trend",), {}, run),
    "seat_rows": (500, {"seats": ("vol_trend",)}, woken),
    "keyed": (True, {}, unproven),
    "shadows": (("s",), {"shadow_kinds": ("vol_trend",), "shadows": ("t",)}, run),
    "shadow_kinds": (("vol_trend",), {"shadows": ("s",), "shadow_kinds": ("buy_and_hold",)}, run),
    "shadow_versions": (("7",), {"shadows": ("vol",), "shadow_kinds": ("vol_trend",)}, recorded),
    "capital": (2_000_000.0, {}, run),
    "lot": (0.01, {}, run),
    "min_order": (0.05, {}, run),
    "seed": (7, {}, run),
    "on_halt": ("stop", HALTS, run),
    "resume_after": (20, {"on_halt": "resume-after", "resume_after": 90, **HALTS}, run),
    "costs.fee_bp": (3.0, {}, run),
    "costs.slippage_bp": (3.0, {}, run),
    "costs.half_spread_bp": (3.0, {}, without_quotes),
    "costs.delay": (5, {}, run),
    "costs.participation": (1e-6, {}, run),
    "limits.max_spread_bp": (0.01, {}, run),
    "limits.price_collar": (1e-4, {}, run),
    "limits.max_position": (0.2, {}, run),
    "limits.max_notional": (2e5, {}, run),
    "limits.max_order_qty": (0.01, {}, run),
    "limits.max_orders": (1, {"limits.orders_interval": 10**14}, run),
    "limits.orders_interval": (10**14, {"limits.max_orders": 1}, run),
    "limits.max_turnover": (0.2, {}, run),
    "limits.daily_loss": (1e-4, {}, run),
    "limits.max_drawdown": (1e-3, {}, run),
    "limits.var_95": (1e-3, {}, run),
    "limits.volatility_target": (0.01, {}, run),
    "limits.kelly_fraction": (0.01, {}, run),
    "limits.confidence_scaling": (True, {}, run),
    "limits.flatten_on_halt": (False, HALTS, run),
    "limits.long_only": (True, {}, run),
    "weighing.max_agent_weight": (0.3, {}, run),
    "weighing.min_diversification_agents": (6, {}, run),
    "weighing.weight_temperature": (50.0, {}, run),
    "weighing.no_trade_band": (0.0, {}, run),
    "weighing.prior": ((1.0, 1.0, 1.0, 1.0, 1.0, 1.0), {}, run),
    "weighing.share_rate": (0.1, {}, run),
    "weighing.learning_rate": (0.5, {}, run),
    "weighing.meta_training_frequency": (2, {}, run),
    "weighing.learner_lag": (9, {}, run),
    "weighing.retraining": (False, {}, run),
    "weighing.meta_lookback": (8, {}, run),
    "weighing.meta_batch_size": (7, {}, run),
    "weighing.meta_epochs": (3, {}, run),
    "weighing.cash_expert": (True, {}, run),
    "weighing.agent_history_features": (3, {}, run),
    "weighing.features": (60, {}, run),
}
"""Of every setting another value, what else must be set for it to bite, and where that is seen."""


def names() -> set[str]:
    whole = set(TradingConfig.__struct_fields__) - set(PARTS)
    return whole | {f"{part}.{name}" for part, kind in PARTS.items() for name in kind.__struct_fields__}


def made(**values: Any) -> TradingConfig:
    """A book with limits off and retraining on; names of parts are dotted."""
    parts: dict[str, Any] = {"costs": Costs(), "limits": RiskLimits(), "weighing": WEIGHING}
    own: dict[str, Any] = {}
    for name, value in values.items():
        part, _, field = name.rpartition(".")
        if part:
            parts[part] = msgspec.structs.replace(parts[part], **{field: value})
        else:
            own[name] = value
    return config(**parts, **own)


@cache
def usually(witness: Witness, others: tuple[tuple[str, Any], ...]) -> Any:
    return witness(made(**dict(others)))


def test_no_setting_is_left_out() -> None:
    assert set(EFFECTS) == names()


@pytest.mark.parametrize("name", EFFECTS)
def test_every_setting_has_an_effect_or_is_refused(name: str) -> None:
    value, others, witness = EFFECTS[name]
    if witness is refused:
        with pytest.raises(ConfigError, match=f"^{name} is {value!r}: .*give"):
            made(**others, **{name: value})
        return
    assert witness(made(**{**others, name: value})) != usually(witness, tuple(others.items()))
