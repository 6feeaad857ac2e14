"""The obvious way to trade on a tape: one account, a row at a time, in plain Python, written apart from the kernel."""

import math
from typing import Any

from windvane.metamodel.simulation.simulator_rules import CAPITAL, LOT, SimulatorRules
from windvane.metamodel.simulation.tape import Tape


class Reference:
    """One account on the rows start to stop of a tape."""

    def __init__(self, tape: Tape, rules: SimulatorRules, start: int, stop: int) -> None:
        self.tape, self.rules, self.t, self.stop = tape, rules, start, stop
        self.cash, self.lots, self.orders = CAPITAL, 0, []  # orders: (row they are due at, lots)
        self.position, self.entry, self.since = 0.0, None, start
        self.equity, self.high, self.worst = CAPITAL, 0.0, 0.0
        self.mean = self.square = self.paid = 0.0
        self.forced = False

    def step(self, action: float) -> tuple[float, bool]:
        """The reward of an action and whether the episode is over."""
        before, fell = self.equity, self.worst
        self.paid = 0.0
        self._decide(action)
        self._order()
        self._fill()
        self.t += 1
        self._fill()
        self.equity = self.cash + self.lots * LOT * self.tape.mid[self.t]
        self.high = max(self.high, self.equity - CAPITAL)
        self.worst = max(self.worst, (self.high - (self.equity - CAPITAL)) / CAPITAL)
        return self._reward((self.equity - before) / CAPITAL, self.worst - fell), self.t == self.stop

    def _decide(self, action: float) -> None:
        wanted: float = action
        if self.rules.discrete:
            wanted = action - 1
            if self.rules.actions == "trade":
                wanted = max(-1, min(1, self.position + wanted))
        self.forced = False
        if self.position != 0:
            side = math.copysign(1, self.position)
            if self.rules.stop_loss and self.entry is not None:
                gain = side * (self.tape.mid[self.t] / self.entry - 1)
                self.forced = gain <= -self.rules.stop_loss
            if self.rules.longest_hold and self.t - self.since >= self.rules.longest_hold:
                self.forced = True
        if self.forced:
            wanted = 0
        if self.position == 0 or wanted == 0 or (self.position > 0) != (wanted > 0):
            self.since, self.entry = self.t, None
        self.position = wanted

    def _order(self) -> None:
        mid = self.tape.mid[self.t]
        want = int(self.position * self.rules.max_position * CAPITAL / mid / LOT)
        order = want - self.lots - sum(lots for _, lots in self.orders)
        if order and (want == 0 or abs(order) * LOT * mid >= self.rules.min_order * CAPITAL):
            self.orders.append((self.t + self.rules.costs.delay, order))

    def _fill(self) -> None:
        costs, t = self.rules.costs, self.t
        for due, lots in [order for order in self.orders if order[0] == t]:
            side = 1 if lots > 0 else -1
            quote = (self.tape.ask if lots > 0 else self.tape.bid)[t]
            if math.isnan(quote):
                quote = self.tape.mid[t] * (1 + side * costs.half_spread_bp * 1e-4)
            price = quote * (1 + side * costs.slippage_bp * 1e-4)
            fee = abs(lots) * LOT * price * costs.fee_bp * 1e-4
            self.cash -= lots * LOT * price + fee
            self.lots += lots
            self.paid = (abs(lots) * LOT * abs(price - self.tape.mid[t]) + fee) / CAPITAL
            if self.entry is None and self.lots * self.position > 0:
                self.entry = price
            self.orders.remove((due, lots))

    def _reward(self, earned: float, fell: float) -> float:
        if self.rules.reward == "drawdown":
            return earned - self.rules.drawdown_penalty * fell
        if self.rules.reward == "profit":
            return earned
        a, b, rate = self.mean, self.square, self.rules.sharpe_rate
        self.mean, self.square = a + rate * (earned - a), b + rate * (earned**2 - b)
        return (b * (earned - a) - 0.5 * a * (earned**2 - b)) / max(b - a * a, 1e-8) ** 1.5


def tape(seed: int, rows: int, quoted: bool) -> Tape:
    """A random walk whose steps are large enough for stops, with states that name their row."""
    import numpy as np

    draw = np.random.Generator(np.random.PCG64(seed))
    mid = 100.0 * np.exp(np.cumsum(0.01 * draw.standard_normal(rows)))
    half = mid * 2e-4 * draw.random(rows)
    absent = np.full(rows, np.nan)
    columns: dict[str, Any] = {
        "x": np.stack([np.arange(rows, dtype=float), mid], axis=1),
        "mid": mid,
        "bid": mid - half if quoted else absent,
        "ask": mid + half if quoted else absent.copy(),
        "size": draw.random(rows),
        "ts": np.arange(rows),
        "pieces": np.array([[0, rows]]),
    }
    return Tape(**columns)
