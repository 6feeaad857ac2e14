"""What agents propose on the rows of a market: all of them asked at once, by a stage and by a person's desk alike."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from windvane.agents.base import Floats, Ints, Proposal
from windvane.agents.bench import Bench, Fault
from windvane.metamodel.base.rows import REPEATED, STRAY, WARMUP


class Proposer(Protocol):
    """An agent, or a wrapper around one; `propose` of `windvane.agents.base.Agent` says what it is called with."""

    def propose(self, x: Floats, price: Floats, good: Ints) -> Proposal:
        """Target, action and confidence of each of n rows in order; called once for every row, and may not block."""
        ...


class Proposals(NamedTuple):
    """What N agents propose on n rows."""

    target: Floats  # (n, N) positions in [-1, 1], units of capital
    action: Ints  # (n, N) -1 sell, 0 hold, 1 buy
    confidence: Floats  # (n, N) in [0, 1]
    benched: Ints | None = None  # (n, N) 0, or why an agent takes no part; None: all do
    faults: tuple[tuple[int, Fault], ...] = ()  # to be told of, with the place of the agent


class Joined:
    """Prices joined where the series goes to another level, as for a split of shares, so agents see no return there."""

    def __init__(self, scale: float = 1.0, last: float = 0.0) -> None:
        self.scale = scale
        self.last = last  # mid of the last row, 0 before the first

    def step(self, flags: Ints, mid: Floats) -> Floats:
        """Return mids (n,) in units of the level that the first rows had."""
        last, self.last = self.last, float(mid[-1])
        if not int(np.bitwise_or.reduce(flags)) & STRAY:
            return mid if self.scale == 1.0 else mid * self.scale
        joined = np.empty(len(mid))
        for t in range(len(mid)):
            if flags[t] & STRAY and not flags[t] & REPEATED and last > 0.0:
                self.scale *= last / float(mid[t])
            last = float(mid[t])
            joined[t] = mid[t] * self.scale
        return joined


def propose(agents: Sequence[Proposer], prices: Joined, flags: Ints, x: Floats, mid: Floats) -> Proposals:
    """Step every agent through n rows: flags (n,), features x (n, 50), mid (n,).

    prices: those of the market so far, which are moved on. While features warm up agents see the rows and want nothing.
    """
    n, count = len(flags), len(agents)
    good = ((flags & REPEATED) == 0).astype(np.int64)
    proposals = Proposals(np.empty((n, count)), np.empty((n, count), np.int64), np.empty((n, count)))
    price = prices.step(flags, mid)
    benched, faults = np.zeros((0, count), np.int64), []
    for i, agent in enumerate(agents):
        if isinstance(agent, Bench):
            answer = agent.answer(x, price, good)
            if answer.benched is not None:
                benched = benched if len(benched) else np.zeros((n, count), np.int64)
                benched[:, i] = answer.benched
                faults += [(i, fault) for fault in answer.faults]
            one = answer.proposal
        else:
            one = agent.propose(x, price, good)
        proposals.target[:, i], proposals.action[:, i], proposals.confidence[:, i] = one
    if int(flags[0]) & WARMUP:  # only the first rows of a market are cold
        cold = (flags & WARMUP) != 0
        proposals.target[cold], proposals.action[cold], proposals.confidence[cold] = 0.0, 0, 0.0
    return proposals._replace(benched=benched, faults=tuple(faults)) if len(benched) else proposals
