"""What a person who trades asks of an ensemble: an action for one row, how it went, which regime it sees."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from windvane.agents.state import row_of
from windvane.metamodel.config import ConfigError
from windvane.metamodel.desk import REPEATED, WARMING, Desk, Played
from windvane.metamodel.features import NAMES, WARMUP, FeatureRows
from windvane.metamodel.learned import is_learned
from windvane.metamodel.market import BAR, FIRST, REGIMES
from windvane.metamodel.meta_config import MetaLearningConfig
from windvane.metamodel.risk import GATES

if TYPE_CHECKING:
    from windvane.metamodel.config import TradingConfig
    from windvane.metamodel.ensemble import MetaLearningEnsembleManager, MetaLearningRiskManagedEnsemble

ACTIONS = ("sell", "hold", "buy")
STATES = ("active", "reduce-only", "halted")
_BAD, _GAP = 2, 4
_NONE = np.zeros(0)


class Trading:
    """Part of MetaLearningRiskManagedEnsemble; its parts are made when they are first asked for."""

    config: "TradingConfig"
    manager: "MetaLearningEnsembleManager"
    _settings: MetaLearningConfig | None = None
    _followed: dict[str, Any] | None = None
    _desk: Desk | None = None
    _last: FeatureRows | None = None
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
        """Keep what was learned, and the samples of it; start anew with account, agents and regimes."""
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
        self._last, self._good, self._hole, self._used = None, 0, 0, False

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
        goes back) is flagged and changes nothing; a state of another length raises ValueError.
        """
        self.follow_settings()
        if self._used:
            self.new_market()
        rows = self._row(row_of(state), price, volume, ts, bid, ask)
        self._last = rows
        return self._told(rows, self.desk.play(rows))

    def _row(
        self, x: np.ndarray, price: float, volume: float, ts: int | None, bid: float | None, ask: float | None
    ) -> FeatureRows:
        last = self._last
        step = self.config.interval or BAR
        told = (FIRST if last is None else int(last.ts[0]) + step) if ts is None else int(ts)
        quoted = bid is not None and ask is not None
        b, a = (float(bid), float(ask)) if bid is not None and ask is not None else (price, price)
        sane = (
            bool(np.isfinite(x).all())
            and all(math.isfinite(v) for v in (price, volume, b, a))
            and 1e-15 <= price <= 1e18
            and 0.5 * price <= b <= a <= 2.0 * price
            and 0.0 <= volume <= 1e18
        )
        flag = 0 if sane else _BAD
        if flag == 0 and self._good > 0:
            flag = self._when(told)
        if flag == 0:
            self._good += 1
            self._hole, self._good_ts = 0, told
        if self._good <= WARMUP:
            flag |= WARMING
        time = told if last is None or (flag & _BAD) == 0 else int(last.ts[0])
        if flag & REPEATED:
            mid = last.mid if last is not None else np.ones(1)
            price_now = last.price if last is not None else np.ones(1)
            x = last.x[0] if last is not None else np.zeros(len(NAMES))
            volume = float(last.size[0]) if last is not None else 0.0
            b, a = (float(mid[0]),) * 2
        else:
            mid, price_now = np.array([0.5 * b + 0.5 * a]), np.array([float(price)])
        return FeatureRows(
            np.clip(x, -20.0, 20.0).reshape(1, -1),
            np.array([time]),
            np.array([flag]),
            price_now,
            mid,
            np.array([b]) if quoted else _NONE,
            np.array([a]) if quoted else _NONE,
            np.array([float(volume)]),
        )

    def _when(self, ts: int) -> int:
        """The flag that a row's time earns, as features have it."""
        stale, last = self.config.stale_after, self._good_ts
        if ts < last:
            return _BAD
        if ts - last <= stale or (self._hole > 0 and 0 <= ts - self._hole <= stale):
            return 0
        self._hole = ts
        return _GAP

    def _told(self, rows: FeatureRows, played: Played) -> tuple[int, dict[str, Any]]:
        out, desk = played.round.outputs, self.desk
        verdict, flag = int(out.verdict[0]), int(rows.flags[0])
        action = int(played.action[0])
        told: dict[str, Any] = {
            "action": ACTIONS[action],
            "order_qty": float(played.qty[0]),
            **dict(zip(("wanted", "target", "position", "equity"), out.value[:, 0].tolist(), strict=True)),
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
            "rejected": bool(flag & REPEATED),
        }
        if self.settings.meta_learning_debug:
            told["debug"] = self.debug()
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
    from windvane.metamodel.ensemble import MetaLearningRiskManagedEnsemble

    if not isinstance(part, MetaLearningRiskManagedEnsemble):
        raise TypeError("Trading is a part of MetaLearningRiskManagedEnsemble")
    return part
