"""Lanes: any number of accounts that trade on one tape, all stepped by one call of one kernel.

A lane follows its action as an account of the pipeline follows a target: whole lots, no order below the least, filled
at bid or ask with slippage and fee, `delay` rows after the decision, and marked at the mid.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from windvane.agents.base import Floats, Ints
from windvane.agents.bound import Bound
from windvane.agents.kernel import inlined, kernel
from windvane.agents.learned.draws import generator, numbers_of, set_numbers
from windvane.metamodel.base import account, records
from windvane.metamodel.base.account import MOST_LOTS
from windvane.metamodel.base.config import check
from windvane.metamodel.base.records import Records
from windvane.metamodel.simulation.simulator_rules import Plain, SimulatorRules, plain
from windvane.metamodel.simulation.tape import Tape

LEAST_VARIANCE = 1e-8
"""Of returns, (1 bp) squared: the differential Sharpe ratio divides by no less."""

_SHARPE, _DRAWDOWN = 1, 2


class Lane:
    """Where one environment stands: a record."""

    at: int  # row of the tape
    stop: int  # last row of the episode
    held: int  # rows since the position took its side
    forced: int  # 1 if the last step closed the position by stop loss or longest hold
    position: float  # wanted, in units of max_position, with all that is in flight
    entry: float  # price of the first fill of the side, 0 before it
    paid: float  # of the last step: fees, spread and slippage, units of capital
    earned: float  # of the last step: change of equity, units of capital
    earning: float  # EWMA of what steps earned
    power: float  # EWMA of its square


class Actions(NamedTuple):
    """What the lanes do."""

    action: Floats  # (K,)


class Stepped(NamedTuple):
    """What a step of K lanes gave."""

    state: NDArray[Any]  # (K, F) or (K, F + 1) of the row after it; of a new episode where one ended
    reward: Floats  # (K,)
    ended: NDArray[np.bool_]  # (K,) the episode is over: truncated, not terminated
    final: NDArray[Any]  # as state, before new episodes began


class Lanes:
    """K accounts on a tape.

    count: K; steps: rows of an episode, cut by the end of a market; seed: of the rows that episodes start at.
    Raises ConfigError where a tape has no market of two rows.
    """

    def __init__(self, tape: Tape, rules: SimulatorRules, count: int, *, steps: int, seed: int = 0) -> None:
        check(count >= 1, f"{count} environments: give 1 or more")
        check(steps >= 1, f"an episode has {steps} rows: give 1 or more")
        self.tape, self.rules, self.count, self.steps = tape, rules, count, steps
        self._terms, rule = plain(rules)
        room = tape.pieces[:, 1] - tape.pieces[:, 0] - 1
        check(bool((room >= 1).all()), "a market of the tape has fewer than 2 rows: leave it out")
        self._starts = np.cumsum(np.maximum(room - steps + 1, 1))
        self._random = generator(seed)
        self.lanes = records.new(Lane, count)
        self.accounts, self.pending = account.new_accounts(count, self._terms)
        market = (tape.x, tape.mid, tape.bid, tape.ask, tape.size)
        self._whole = (*market, self._terms, rule, self.lanes, self.accounts, self.pending)
        self._step = Bound(_step)

    @property
    def width(self) -> int:
        """Numbers in a state."""
        return int(self.tape.x.shape[1]) + int(self.rules.sees_position)

    @property
    def position(self) -> Floats:
        """(K,) positions in units of `max_position`, with what is in flight."""
        return self.lanes["position"].copy()

    @property
    def pnl(self) -> Floats:
        """(K,) what the accounts earned since their episodes began, units of capital."""
        return (self.accounts["equity"] - self._terms.capital) / self._terms.capital

    def reset(self) -> NDArray[Any]:
        """Begin an episode in every lane at a row drawn at random; returns the states (K, F or F + 1)."""
        state = np.empty((self.count, self.width), self.tape.x.dtype)
        self._begin(np.arange(self.count), state)
        return state

    def place(self, start: int | Ints, stop: int | Ints) -> NDArray[Any]:
        """Begin the episode of rows start to stop, both part of it, in every lane; returns the states.

        start, stop: of all lanes, or (K,) of each.
        """
        state = np.empty((self.count, self.width), self.tape.x.dtype)
        starts, stops = (np.broadcast_to(rows, self.count) for rows in (start, stop))
        self._sit(np.arange(self.count), starts, stops, state)
        return state

    def step(self, action: NDArray[Any]) -> Stepped:
        """Trade, pay for it, and go on to the next row; lanes whose episode ends begin another.

        action: (K,) 0, 1 or 2, or positions from -1 to 1 where they are not discrete; whoever calls has checked it.
        """
        state = np.empty((self.count, self.width), self.tape.x.dtype)
        reward, ended = np.empty(self.count), np.empty(self.count, np.bool_)
        over = self._step(
            self._whole, Actions(np.ascontiguousarray(action, np.float64)), state, reward, ended
        )
        final = state
        if over:
            final = state.copy()
            self._begin(np.flatnonzero(ended), state)
        return Stepped(state, reward, ended, final)

    def step_one(self, action: float) -> tuple[NDArray[Any], float, bool]:
        """Step the only lane, which stays where its episode ended; returns state, reward and whether it did."""
        state = np.empty((1, self.width), self.tape.x.dtype)
        reward, ended = np.empty(1), np.empty(1, np.bool_)
        self._step(self._whole, Actions(np.array([action])), state, reward, ended)
        return state[0], float(reward[0]), bool(ended[0])

    def _begin(self, which: Ints, state: NDArray[Any]) -> None:
        """Begin episodes at rows drawn at random: every row that leaves `steps` rows is equally likely."""
        drawn = self._random.integers(self._starts[-1], size=len(which))
        market = np.searchsorted(self._starts, drawn, side="right")
        first, end = self.tape.pieces[market].T
        starts = first + drawn - np.concatenate(([0], self._starts))[market]
        self._sit(which, starts, np.minimum(starts + self.steps, end - 1), state)

    def _sit(self, which: Ints, start: Ints, stop: Ints, state: NDArray[Any]) -> None:
        fresh = records.new(Lane, len(which))
        fresh["at"], fresh["stop"] = start, stop
        self.lanes[which] = fresh
        self.accounts[which] = account.new_accounts(len(which), self._terms)[0]
        self.pending[which] = 0
        state[which, : self.tape.x.shape[1]] = self.tape.x[start]
        state[which, self.tape.x.shape[1] :] = 0.0

    def state(self) -> dict[str, NDArray[Any]]:
        """Return copies of all that a step changes, plain arrays by name; `restore` of equal lanes goes on from it."""
        named = {f"lanes.{name}": self.lanes[name] for name in records.names(Lane)}
        named |= {f"lanes.account.{name}": self.accounts[name] for name in records.names(account.Account)}
        copies = {name: value.copy() for name, value in named.items()}
        return copies | {"lanes.pending": self.pending.copy(), "lanes.random": numbers_of(self._random)}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Go on from what `state` of equal lanes returned."""
        for name in records.names(Lane):
            self.lanes[name] = state[f"lanes.{name}"]
        for name in records.names(account.Account):
            self.accounts[name] = state[f"lanes.account.{name}"]
        self.pending[:] = state["lanes.pending"]
        set_numbers(self._random, state["lanes.random"])


@kernel
def _step(
    x: Any,
    mid: Floats,
    bid: Floats,
    ask: Floats,
    size: Floats,
    terms: account.Terms,
    rules: Plain,
    lanes: Records,
    accounts: Records,
    pending: Ints,
    actions: Actions,
    state: Any,
    reward: Floats,
    ended: Any,
) -> int:
    """Step every lane one row on, and write what it sees there; returns how many episodes ended."""
    over, wide = 0, x.shape[1]
    for k in range(lanes.shape[0]):
        s, a, t = lanes[k], accounts[k], lanes[k].at
        before, fallen = a.equity, a.drawdown
        s.paid = 0.0
        _want(s, rules, actions.action[k], mid[t])
        lots = _lots(a, rules, terms, s.position, mid[t])
        if lots != 0:
            account.place(a, pending[k], terms, t, lots)
        if terms.delay == 0:
            _fill(s, a, pending[k], terms, t, mid[t], bid[t], ask[t], size[t])
        t += 1
        s.at, s.held = t, s.held + 1
        if terms.delay > 0:
            _fill(s, a, pending[k], terms, t, mid[t], bid[t], ask[t], size[t])
        account.mark(a, terms, mid[t])
        s.earned = (a.equity - before) / terms.capital
        reward[k] = _reward(s, rules, a.drawdown - fallen)
        ended[k] = t >= s.stop
        over += 1 if t >= s.stop else 0
        for i in range(wide):
            state[k, i] = x[t, i]
        if rules.sees:
            state[k, wide] = s.position
    return over


@inlined
def _want(s: Lane, rules: Plain, action: float, mid: float) -> None:
    """Take an action, unless the position is closed by force, and count anew where its side changes."""
    before = s.position
    wanted = action - 1.0 if rules.discrete else action
    if rules.steps and rules.discrete:
        wanted = min(max(before + wanted, -1.0), 1.0)
    side = 1.0 if before > 0.0 else -1.0
    lost = s.entry > 0.0 and side * (mid / s.entry - 1.0) <= -rules.stop
    late = rules.longest > 0 and s.held >= rules.longest
    s.forced = 1 if before != 0.0 and ((rules.stop > 0.0 and lost) or late) else 0
    s.position = 0.0 if s.forced else wanted
    if s.position * before <= 0.0:
        s.held, s.entry = 0, 0.0


@inlined
def _lots(a: account.Account, rules: Plain, terms: account.Terms, position: float, mid: float) -> int:
    """The order that an account needs for a position, in lots; none where it is below the least."""
    unit = terms.capital / mid / terms.lot
    target = position * rules.most * unit
    want, exposure = int(min(max(target, -MOST_LOTS), MOST_LOTS)), a.lots + a.flying
    if abs(want - exposure) * mid * terms.lot < rules.min_order and want != 0:
        return 0
    return want - exposure


@inlined
def _fill(
    s: Lane,
    a: account.Account,
    pending: Ints,
    terms: account.Terms,
    t: int,
    mid: float,
    bid: float,
    ask: float,
    size: float,
) -> None:
    """Fill what is due at a row, and remember what it cost and where the position began."""
    lots, price, fee = account.settle(a, pending, terms, t, mid, bid, ask, size)
    if lots != 0:
        s.paid = (abs(lots) / terms.per_unit * abs(price - mid) + fee) / terms.capital
        if s.entry == 0.0 and s.position * a.lots > 0.0:
            s.entry = price


@inlined
def _reward(s: Lane, rules: Plain, fell: float) -> float:
    """The reward of what a step earned; fell: by how much the largest fall of the episode grew.

    The differential Sharpe ratio is that of Moody and Saffell 2001, equation 10.
    """
    mean, square = s.earning, s.power
    s.earning += rules.rate * (s.earned - mean)
    s.power += rules.rate * (s.earned * s.earned - square)
    if rules.reward == _SHARPE:
        variance = max(square - mean * mean, LEAST_VARIANCE)
        change = square * (s.earned - mean) - 0.5 * mean * (s.earned * s.earned - square)
        return change / (variance * math.sqrt(variance))
    if rules.reward == _DRAWDOWN:
        return s.earned - rules.penalty * fell
    return s.earned
