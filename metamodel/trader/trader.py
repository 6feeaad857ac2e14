"""What a person who trades asks of an ensemble: an action for one row, how it went, which regime it sees."""

import copy
import math
from typing import Any

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.agents.errors import WindvaneError
from windvane.agents.factory import create_agents
from windvane.agents.state import ACTIONS, action_code, row_of
from windvane.metamodel.base.config import ConfigError, TradingConfig
from windvane.metamodel.base.regimes import REGIMES
from windvane.metamodel.base.rows import GAP, WARMUP
from windvane.metamodel.features.extractor import NAMES, FeatureRows, MarketFeatureExtractor
from windvane.metamodel.learning.manager import MetaLearningEnsembleManager
from windvane.metamodel.settings.meta_config import MetaLearningConfig, NetDims
from windvane.metamodel.simulation.market import BAR
from windvane.metamodel.trader.desk import Desk, Listener, Maker, Played
from windvane.metamodel.trader.history import feature_rows
from windvane.metamodel.trader.series import ANEW, HOLE, OFF_LEVEL, Series, unsound
from windvane.metamodel.trading.columns import Inputs
from windvane.metamodel.trading.control import STATES
from windvane.metamodel.trading.ensemble import Ensemble, Round
from windvane.metamodel.trading.risk import GATES

_MIXED = (
    "this ensemble was moved on by {before}, which {now} would spoil: use one of the two for a market, another "
    "ensemble, or new_market()"
)

_BATCH = 4096  # rows of a history that are taken in at once


class MetaLearningRiskManagedEnsemble:
    """An ensemble that trades within limits, with its agents, regime classifier and records around it.

    It is moved on either row by row with `get_trading_action`, which asks the agents itself, or with `step`, which is
    handed what the agents want. Each remembers things that the other does not move, so to use both in one market raises
    ValueError. It reads no clock, no file and no random number. make: who makes the agents of every market;
    net_dims: of those that a session trains, None where it trains none.
    """

    def __init__(self, config: TradingConfig, make: Maker = create_agents, net_dims: NetDims = None) -> None:
        self._engine, self._make = Ensemble(config), make
        self._settings = MetaLearningConfig.of(config)
        self._settings.net_dims = net_dims
        self._followed = dict(self._settings.__dict__)  # as they were when they were last taken up
        self._trades = 0  # fills in the markets before
        self._stepped = False  # whether `step` has moved this market on
        self._over = False  # whether the next row begins another market
        self._desk: Desk | None = None
        self._listener: Listener | None = None
        self._series = Series()
        self._answer: dict[str, Any] | None = None  # to the last row

    @property
    def config(self) -> TradingConfig:
        """How it decides, frozen; `reconfigure` and `settings` change it."""
        return self._engine.config

    @property
    def manager(self) -> MetaLearningEnsembleManager:
        """Who weighs the agents."""
        return self._engine.manager

    @property
    def accounts(self) -> tuple[str, ...]:
        """Names of the accounts, in the order of every account column; the ensemble's own is the first."""
        return self._engine.accounts

    @property
    def fills(self) -> int:
        """Fills of the ensemble's account in this market."""
        return self._engine.fills

    @property
    def away(self) -> bool:
        """Whether the price was last seen on another level than the one at which accounts are valued."""
        return self._engine.away

    @property
    def settings(self) -> MetaLearningConfig:
        """How it decides and what it remembers, to be changed in place: in effect from the next row on.

        The samples that a predictor is trained on are as many as `meta_lookback` says from the next market on. Agents
        and what else an ensemble is made for cannot be changed: the next row raises ConfigError.
        """
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
        settings = self._settings
        if settings.__dict__ != self._followed:
            self.reconfigure(settings.within(self.config, self._followed["net_dims"]))
            if self._desk is not None:
                self._desk.follow(settings)
            self._followed = dict(settings.__dict__)

    def reconfigure(self, config: TradingConfig) -> None:
        """Use other settings from the next row on.

        Raises ConfigError where one differs that is fixed once an ensemble exists.
        """
        self._engine.reconfigure(config)

    @property
    def desk(self) -> Desk:
        """Agents, classifier and records of the market that is traded."""
        if self._desk is None:
            self._desk = Desk(self._engine, self._settings, self._make)
            self._desk.listener = self._listener
        return self._desk

    def listen(self, listener: Listener | None) -> None:
        """Have every decision past the warm-up told to `listener`, in this market and later ones; None: to nobody."""
        self._listener = listener
        if self._desk is not None:
            self._desk.listener = listener

    def _copied(self) -> "MetaLearningRiskManagedEnsemble":
        """A copy whose decisions nobody is told of."""
        same = copy.copy(self)
        same._listener, same._desk = None, copy.copy(self._desk)
        same.listen(None)
        return copy.deepcopy(same)

    def new_market(self) -> None:
        """Begin another series of prices: keep what was learned, and the samples of it; start anew with account, agents
        and regimes, and warm up again.
        """
        self.follow_settings()
        self._trades += self.fills
        self._engine.new_market()
        before, self._desk = self._desk, None
        if before is not None:
            self.desk.data = before.data
        self._series, self._answer, self._over, self._stepped = Series(), None, False, False

    def warm_up(self, history: Any, *, learn: bool = False) -> MarketFeatureExtractor | None:
        """Fill all windows from a history, so that the first call of get_trading_action may trade.

        history: prices (n,), one bar apart; or columns (n,) by the names ts (UNIX ns), price, size, bid, ask, bid_size,
        ask_size and buy_size, of which price is needed, in a dictionary or data frame; or what `simulate` or
        `load_market` returns; or the FeatureRows of a MarketFeatureExtractor. 512 good rows or more, in order.

        Nothing is traded: afterwards the account is as it was opened, and no decision is on record. learn: False, as
        in the pipeline's own warm-up, weighs nothing by the history, so a loaded model begins as it was saved; True
        scores the agents on its rows past the 512th and learns from them as a backtest of it would.

        Returns the extractor that has seen the history: step it through the rows that follow to have their states.
        None where FeatureRows were given, whose extractor the caller has. Raises ValueError, and moves nothing, where
        the history is none of these or too short, or the market has begun.
        """
        self.follow_settings()
        if self._over:
            self.new_market()
        if self._stepped or self.desk.seq > 0:
            raise WindvaneError(
                "this market has begun: warm up before its first row, or call new_market() first"
            )
        rows, extractor = feature_rows(history, self.config.interval or BAR, self.config.stale_after)
        for start in range(0, len(rows.ts), _BATCH):
            part = FeatureRows._make(column[start : start + _BATCH] for column in rows)
            self.desk.rehearse(part, learn)
        self._series.follow(rows)
        return extractor

    def rest(self) -> None:
        """The market is over: the next call of get_trading_action begins another."""
        self._over = True

    def step(
        self,
        seq: Ints,
        ts: Ints,
        flags: Ints,
        x: Floats,
        mid: Floats,
        target: Floats,
        confidence: Floats,
        **columns: Any,
    ) -> Round:
        """n rounds of the engine, whose agents are asked elsewhere: `Inputs` says what the columns are.

        Raises ValueError where `get_trading_action` has moved this market on.
        """
        if self._desk is not None and self._desk.seq > 0:
            raise ValueError(_MIXED.format(before="get_trading_action", now="step"))
        self._stepped = True
        return self._engine.step(Inputs.of(seq, ts, flags, x, mid, target, confidence, **columns))

    def close(self) -> Round | None:
        """Return the statement of the unfinished day, or None where no row came since the last statement."""
        return self._engine.close()

    def state(self) -> dict[str, Floats]:
        """Copies of all that rounds remember, by name; not what is remembered around them."""
        return self._engine.state()

    def restore(self, state: dict[str, Floats]) -> None:
        """Go on from what `state` returned, under the same config; raises ValueError where a shape differs."""
        self._engine.restore(state)

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

        state: (50,) raw features as MarketFeatureExtractor returns them (list, array or tensor); price: last price;
        volume: since the last row, base currency; ts: event time, UNIX ns, None: one bar after the last. The quantity
        to trade is `order_qty`. The first 512 rows warm up. A row that cannot be (NaN, price not above 0, time that
        goes back) moves nothing: `rejected` is True and `reason` says why. So is a price more than a factor of 2 from
        the last, however often it comes; during the warm-up it starts the series anew, and `reason` says so. A state of
        another length, and an ensemble that `step` has moved on, raise ValueError. To ask what would be done without
        doing it, use `preview`.
        """
        self.follow_settings()
        if self._over:
            self.new_market()
        if self._stepped:
            raise ValueError(_MIXED.format(before="step", now="get_trading_action"))
        x, price, volume, begun = row_of(state), float(price), float(volume), ""
        quotes = (float(bid), float(ask)) if bid is not None and ask is not None else None
        when = self._series.next_ts(self.config) if ts is None else int(ts)
        reason = unsound(x, price, volume, quotes) or self._series.late(when)
        mid = price if quotes is None else 0.5 * quotes[0] + 0.5 * quotes[1]
        if not reason and self._series.off_level(mid):
            if self._series.warming:
                self.new_market()
                when = self._series.next_ts(self.config) if ts is None else when
                begun = ANEW
            else:
                reason = OFF_LEVEL.format(price=price, last=self._series.last_mid)
        if reason:
            return self._rejection(reason)
        rows = self._series.row(self.config, x, when, price, volume, quotes)
        action, answer = self._decision(rows, self.desk.play(rows))
        return action, answer | {"reason": begun or answer["reason"]}

    def preview(
        self, state: Any, price: float, volume: float = 0.0, **more: Any
    ) -> tuple[int, dict[str, Any]]:
        """What `get_trading_action` would answer, with nothing moved: for probes, health checks and benchmarks."""
        return self._copied().get_trading_action(state, price, volume, **more)

    def _rejection(self, reason: str) -> tuple[int, dict[str, Any]]:
        """The answer to a row that moved nothing: as it stood after the last row, with nothing to trade."""
        if self._answer is None:
            return self._copied()._first_rejection(reason)
        hold = 0
        return action_code(hold), self._answer | {
            "action": ACTIONS[action_code(hold)],
            "order_qty": 0.0,
            "verdicts": [],
            "rejected": True,
            "reason": reason,
        }

    def _first_rejection(self, reason: str) -> tuple[int, dict[str, Any]]:
        """The answer before the first row, as to one that brings nothing new; called on a copy, which plays it."""
        before, last = self.desk.seq - 1, self._series.last
        if last is not None:
            rows = last._replace(flags=np.array([GAP]))
        else:
            when = self._series.next_ts(self.config)
            rows = self._series.row(self.config, np.zeros(len(NAMES)), when, 1.0, 0.0, None)
        self._answer = {**self._decision(rows, self.desk.play(rows))[1], "seq": before}
        return self._rejection(reason)

    def _decision(self, rows: FeatureRows, played: Played) -> tuple[int, dict[str, Any]]:
        """The answer to a row that was played."""
        out, desk = played.round.outputs, self.desk
        verdict, flag = int(out.verdict[0]), int(rows.flags[0])
        action = action_code(int(played.action[0]))
        stability = desk.classifier.stability
        answer: dict[str, Any] = {
            "action": ACTIONS[action],
            "order_qty": float(played.qty[0]),
            **{name: float(getattr(out, name)[0]) for name in ("wanted", "target", "position", "equity")},
            "confidence": float(played.confidence[0]),
            "agent_weights": self.manager.weights,
            "agent_targets": dict(zip(self.config.agents, played.target[0].tolist(), strict=True)),
            "regime": REGIMES[played.label[0]],
            "regime_confidence": float(played.posterior[0, played.label[0]]),
            "regime_stability": stability,
            "regime_stable": self._stable(stability),
            "verdicts": [name for k, name in enumerate(GATES) if verdict >> k & 1],
            "state": STATES[int(out.state[0])],
            "seq": desk.seq - 1,
            "ts": int(rows.ts[0]),
            "warming_up": bool(flag & WARMUP),
            "rejected": bool(flag & GAP),
            "reason": HOLE if flag & GAP else "",
        }
        if self.settings.meta_learning_debug:
            answer["debug"] = self.debug()
        self._answer = dict(answer)
        return action, answer

    def _stable(self, stability: float) -> bool | None:
        """Whether a regime counts as stable, None where its stability is not known."""
        return None if math.isnan(stability) else stability >= self.settings.regime_stability_threshold

    def debug(self) -> dict[str, Any]:
        """What every way to weigh thinks."""
        return self.manager.explained()

    def get_regime_info(self) -> dict[str, Any]:
        """The regime shown, its posterior and stability, whether that is stable, and the changes so far.

        Before the end of the warm-up the stability is NaN, and whether it is stable None.
        """
        info = self.desk.classifier.info()
        info["regime_stable"] = self._stable(info["regime_stability"])
        if self.settings.meta_learning_debug:
            info["debug"] = self.debug()
        return info

    def get_performance_summary(self) -> dict[str, Any]:
        """How it went: of the account in this market, of the trades in all, and of every agent by itself.

        A ratio that cannot be said yet, such as recent_sharpe before the second day, is NaN: no comparison with it is
        true, so a monitor that asks whether it is below a limit hears no.
        """
        return {
            **self.desk.tracker.summary(),
            "total_trades": self._trades + self.fills,
            "weights": self.manager.weights,
            "member_weights": self.manager.member_weights,
            "regime_info": self.get_regime_info(),
            "agents": {name: w.get_performance_metrics() for name, w in self.desk.wrappers.items()},
        }
