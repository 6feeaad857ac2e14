"""What a person who trades asks of an ensemble: an action for one row, how it went, which regime it sees."""

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from windvane.agents.state import row_of
from windvane.metamodel.base.config import ConfigError
from windvane.metamodel.base.regimes import REGIMES
from windvane.metamodel.base.rows import GAP, priced, same_level, sized
from windvane.metamodel.base.rows import WARMUP as WARMING
from windvane.metamodel.features.extractor import NAMES, WARMUP, FeatureRows
from windvane.metamodel.learning.learned import is_learned
from windvane.metamodel.settings.meta_config import MetaLearningConfig
from windvane.metamodel.simulation.market import BAR, FIRST
from windvane.metamodel.trader.desk import Desk, Played
from windvane.metamodel.trading.risk import GATES

if TYPE_CHECKING:
    from windvane.metamodel.base.config import TradingConfig
    from windvane.metamodel.trading.ensemble import (
        MetaLearningEnsembleManager,
        MetaLearningRiskManagedEnsemble,
    )

ACTIONS = ("sell", "hold", "buy")
STATES = ("active", "reduce-only", "halted")
_HOLE = "it ends a hole in time: its values are used once the next row agrees"
_ANEW = "the price is on another level than before: the series starts anew, and warms up again"
_NONE = np.zeros(0)


class Trading:
    """Part of MetaLearningRiskManagedEnsemble; its parts are made when they are first asked for."""

    config: "TradingConfig"
    manager: "MetaLearningEnsembleManager"
    _settings: MetaLearningConfig | None = None
    _followed: dict[str, Any] | None = None
    _desk: Desk | None = None
    _last: FeatureRows | None = None
    _answer: dict[str, Any] | None = None
    _good = 0
    _hole = 0
    _good_ts = 0
    _used = False
    _trades = 0

    @property
    def settings(self) -> MetaLearningConfig:
        """How it decides, and what is remembered and told: what is changed in it is in effect from the next row on.

        The samples that a predictor is trained on are as many as `meta_lookback` says from the next market on. Agents
        and what else an ensemble is made for cannot be changed: the next row raises ConfigError.
        """
        if self._settings is None:
            self._settings = MetaLearningConfig.of(self.config)
            self._followed = dict(self._settings.__dict__)
        return self._settings

    @settings.setter
    def settings(self, settings: MetaLearningConfig) -> None:
        before, self._settings = self._settings, settings
        try:
            self.follow_settings()
        except ConfigError:
            self._settings = before
            raise

    def follow_settings(self) -> None:
        """Take up what was changed in the settings; raises ConfigError where that cannot be."""
        settings = self.settings
        if settings.__dict__ != self._followed:
            whole = _whole(self)
            whole.reconfigure(settings.within(whole.config))
            if self._desk is not None:
                self._desk.follow(settings)
            self._followed = dict(settings.__dict__)

    @property
    def desk(self) -> Desk:
        """Agents, classifier and records of the market that is traded."""
        if self._desk is None:
            self._desk = Desk(_whole(self), self.settings)
        return self._desk

    def new_market(self) -> None:
        """Begin another series of prices: keep what was learned, and the samples of it; start anew with account, agents
        and regimes, and warm up again.
        """
        self.follow_settings()
        whole = _whole(self)
        self._trades += whole.fills
        fresh, now = type(whole)(self.config).state(), whole.state()
        kept = {
            name: value
            for name, value in now.items()
            if name.startswith("learner.") and is_learned(name.removeprefix("learner."))
        }
        whole.restore(fresh | kept)
        before, self._desk = self._desk, None
        if before is not None:
            self.desk.data = before.data
        self._last, self._answer, self._used = None, None, False
        self._good, self._hole, self._good_ts = 0, 0, 0

    def rest(self) -> None:
        """The market is over: the next call of get_trading_action begins another."""
        self._used = True

    def get_trading_action(
        self,
        state: Any,
        price: float,
        volume: float = 0.0,
        *,
        ts: int | None = None,
        bid: float | None = None,
        ask: float | None = None,
    ) -> tuple[int, dict[str, Any]]:
        """Decide one row: 0 sell, 1 hold or 2 buy, and all that is known of the decision.

        state: (50,) raw features as MarketFeatureExtractor gives them (list, array or tensor); price: last price;
        volume: since the last row, base currency; ts: event time, UNIX ns, None: one bar after the last. The quantity
        to trade is `order_qty`. The first 512 rows warm up. A row that cannot be (NaN, price not above 0, time that
        goes back) moves nothing: `rejected` is True and `reason` says why. So is a price more than a factor of 2 from
        the last, however often it comes; during the warm-up it starts the series anew, and `reason` says so. A state of
        another length raises ValueError. To ask what would be done without doing it, use `preview`.
        """
        self.follow_settings()
        if self._used:
            self.new_market()
        x, last, price, volume = row_of(state), self._last, float(price), float(volume)
        when = self._next_ts() if ts is None else int(ts)
        quoted = bid is not None and ask is not None
        b, a = (float(bid), float(ask)) if bid is not None and ask is not None else (price, price)
        reason, began = self._unsound(x, price, volume, b, a), ""
        if not reason and last is not None:
            if when < self._good_ts:
                reason = f"time goes back: ts {when} is before {self._good_ts}, that of the last row"
            elif not same_level(0.5 * b + 0.5 * a, float(last.mid[0])):
                if self._good > WARMUP:
                    reason = (
                        f"price {price:g} is more than a factor of 2 from the last, {float(last.mid[0]):g}: if this is "
                        "another market, call new_market(); to ask without trading, use preview() at the market's price"
                    )
                else:
                    self.new_market()
                    when = self._next_ts() if ts is None else when
                    began = _ANEW
        if reason:
            return self._refused(reason)
        rows = self._row(x, price, volume, when, b, a, quoted)
        self._last = rows
        action, told = self._told(rows, self.desk.play(rows))
        return action, told | {"reason": began or told["reason"]}

    def preview(
        self, state: Any, price: float, volume: float = 0.0, **more: Any
    ) -> tuple[int, dict[str, Any]]:
        """What `get_trading_action` would answer, with nothing moved: for probes, health checks and benchmarks."""
        return copy.deepcopy(_whole(self)).get_trading_action(state, price, volume, **more)

    def _next_ts(self) -> int:
        return FIRST if self._last is None else int(self._last.ts[0]) + (self.config.interval or BAR)

    @staticmethod
    def _unsound(x: np.ndarray, price: float, volume: float, bid: float, ask: float) -> str:
        """Why a row cannot be, by itself; empty where it can."""
        if not np.isfinite(x).all():
            return "the state holds a value that is no number"
        if not sized(volume):
            return f"volume {volume:g} is no size: give 0 or more"
        if not priced(price, bid, ask):
            return (
                f"price {price:g}, bid {bid:g}, ask {ask:g} cannot be: give a price above 0, and quotes near it, the "
                "bid not above the ask"
            )
        return ""

    def _row(
        self, x: np.ndarray, price: float, volume: float, ts: int, bid: float, ask: float, quoted: bool
    ) -> FeatureRows:
        """A sound row as the extractor would give it; one that ends a hole repeats the last, until the next agrees."""
        flag, mid = self._when(ts), 0.5 * bid + 0.5 * ask
        if flag and self._last is not None:
            x, ts = self._last.x[0], int(self._last.ts[0])
            price = float(self._last.price[0])
            bid = ask = mid = float(self._last.mid[0])
            volume = float(self._last.size[0])
        else:
            self._good += 1
            self._hole, self._good_ts = 0, ts
        flag |= WARMING if self._good <= WARMUP else 0
        return FeatureRows(
            np.clip(x, -20.0, 20.0).reshape(1, -1),
            np.array([ts]),
            np.array([flag]),
            np.array([float(price)]),
            np.array([mid]),
            np.array([bid]) if quoted else _NONE,
            np.array([ask]) if quoted else _NONE,
            np.array([float(volume)]),
        )

    def _when(self, ts: int) -> int:
        """GAP for a row that ends a hole, 0 for one in time, as features have it."""
        stale, last = self.config.stale_after, self._good_ts
        if self._good == 0 or ts - last <= stale or (self._hole > 0 and 0 <= ts - self._hole <= stale):
            return 0
        self._hole = ts
        return GAP

    def _refused(self, reason: str) -> tuple[int, dict[str, Any]]:
        """The answer to a row that moved nothing: as it stood after the last row, with nothing to trade."""
        answer = self._answer
        if answer is None:
            return copy.deepcopy(_whole(self))._refused_first(reason)
        return 1, answer | {
            "action": ACTIONS[1],
            "order_qty": 0.0,
            "verdicts": [],
            "rejected": True,
            "reason": reason,
        }

    def _refused_first(self, reason: str) -> tuple[int, dict[str, Any]]:
        """On a copy that may be spoiled: what is known before the first row, as a row that warms up would tell it."""
        rows = self._row(np.zeros(len(NAMES)), 1.0, 0.0, self._next_ts(), 1.0, 1.0, False)
        self._answer = {**self._told(rows, self.desk.play(rows))[1], "seq": -1}
        return self._refused(reason)

    def _told(self, rows: FeatureRows, played: Played) -> tuple[int, dict[str, Any]]:
        out, desk = played.round.outputs, self.desk
        verdict, flag = int(out.verdict[0]), int(rows.flags[0])
        action = int(played.action[0])
        told: dict[str, Any] = {
            "action": ACTIONS[action],
            "order_qty": float(played.qty[0]),
            **{name: float(getattr(out, name)[0]) for name in ("wanted", "target", "position", "equity")},
            "confidence": float(played.confidence[0]),
            "agent_weights": self.manager.weights,
            "agent_targets": dict(zip(self.config.agents, played.target[0].tolist(), strict=True)),
            "regime": REGIMES[played.label[0]],
            "regime_confidence": float(played.posterior[0, played.label[0]]),
            "regime_stability": desk.classifier.stability,
            "regime_stable": desk.classifier.stability >= self.settings.regime_stability_threshold,
            "verdicts": [name for k, name in enumerate(GATES) if verdict >> k & 1],
            "state": STATES[int(out.state[0])],
            "seq": desk.seq - 1,
            "ts": int(rows.ts[0]),
            "warming_up": bool(flag & WARMING),
            "rejected": bool(flag & GAP),
            "reason": _HOLE if flag & GAP else "",
        }
        if self.settings.meta_learning_debug:
            told["debug"] = self.debug()
        self._answer = dict(told)
        return action, told

    def debug(self) -> dict[str, Any]:
        """What every way to weigh thinks."""
        w = self.manager.learner.w
        return {
            "member_weights": self.manager.member_weights,
            "cash": self.manager.cash,
            "member_agent_weights": {
                member: dict(zip(self.config.agents, w[j].tolist(), strict=True))
                for j, member in enumerate(self.manager.members)
            },
            "mean_scores": self.manager.mean_scores,
        }

    def get_regime_info(self) -> dict[str, Any]:
        """The regime shown, its posterior and stability, whether that is stable, and the changes so far."""
        info = self.desk.classifier.info()
        info["regime_stable"] = info["regime_stability"] >= self.settings.regime_stability_threshold
        if self.settings.meta_learning_debug:
            info["debug"] = self.debug()
        return info

    def get_performance_summary(self) -> dict[str, Any]:
        """How it went: of the account in this market, of the trades in all, and of every agent by itself."""
        return {
            **self.desk.tracker.summary(),
            "total_trades": self._trades + _whole(self).fills,
            "weights": self.manager.weights,
            "member_weights": self.manager.member_weights,
            "regime_info": self.get_regime_info(),
            "agents": {name: w.get_performance_metrics() for name, w in self.desk.wrappers.items()},
        }


def _whole(part: Trading) -> "MetaLearningRiskManagedEnsemble":
    from windvane.metamodel.trading.ensemble import MetaLearningRiskManagedEnsemble

    if not isinstance(part, MetaLearningRiskManagedEnsemble):
        raise TypeError("Trading is a part of MetaLearningRiskManagedEnsemble")
    return part
