"""Bench: somebody else's agent that is left out of the rows at which it fails, and comes back when it behaves.

What it answers does not depend on how rows are cut into calls. Where a call fails, the agent goes back to the state
from before the call and is asked row by row; a row that fails is benched, and the state stays what it was before it.
"""

from typing import NamedTuple

import numpy as np

from windvane.agents.base import Agent, Floats, Ints, Proposal
from windvane.agents.benching import FIT, RAISED
from windvane.agents.guest import GuestError

QUIET_ROWS = 256
"""Rows before the same fault of an agent is told of again."""

_AGENT, _BENCH = "agent.", "bench"


class Fault(NamedTuple):
    """A row at which an agent is benched, as people are told of it."""

    row: int  # place among the rows of the call
    why: str  # a sentence


class Answer(NamedTuple):
    """What an agent says about n rows."""

    proposal: Proposal  # at a row where it is benched its last target again, with confidence 0
    benched: Ints | None  # (n,) why, as in `windvane.agents.benching`; None where it is not
    faults: tuple[Fault, ...]  # those that are to be told of


class Bench(Agent):
    """A guest and what is remembered of its conduct. It raises nothing that the guest raises once it is made.

    guest: an agent that raises GuestError for all that is wrong with it, as a GuestAgent does.
    Raises GuestError where the guest cannot tell its first state, since nothing could bring it back to it.
    """

    def __init__(self, guest: Agent) -> None:
        self.guest = guest
        self.name, self.version, self.warmup = guest.name, guest.version, guest.warmup
        self._told = guest.state()  # what the guest was last able to tell
        self._moved = False  # whether a fault may have moved the guest away from that
        self._target = 0.0
        self._rows, self._fault, self._fault_at = 0, FIT, -QUIET_ROWS  # seen; the last one told of, and when

    def propose(self, x: Floats, price: Floats, good: Ints) -> Proposal:
        """As `Agent` says; `answer` says more."""
        return self.answer(x, price, good).proposal

    def answer(self, x: Floats, price: Floats, good: Ints) -> Answer:
        """Ask the guest about n rows. x: (n, 50), price and good: (n,), as in `Agent.propose`."""
        n = len(price)
        try:
            proposal = self._asked(x, price, good)
        except GuestError as error:
            if n > 1:
                each = [self.answer(x[t : t + 1], price[t : t + 1], good[t : t + 1]) for t in range(n)]
                return _joined(each)
            return self._benched(error)
        self._rows += n
        self._target = float(proposal.target[-1])
        return Answer(proposal, None, ())

    def _asked(self, x: Floats, price: Floats, good: Ints) -> Proposal:
        """What the guest proposes. Where it raises GuestError, `_told` is its state from before the call."""
        if self._moved:
            self.guest.restore(self._told)
            self._moved = False
        self._told = self.guest.state()
        self._moved = True
        proposal = self.guest.propose(x, price, good)
        self._moved = False
        return proposal

    def _benched(self, error: GuestError) -> Answer:
        """The answer of one row at which the guest failed."""
        faults: tuple[Fault, ...] = ()
        if error.fault != self._fault or self._rows - self._fault_at >= QUIET_ROWS:
            self._fault, self._fault_at = error.fault, self._rows
            faults = (Fault(0, str(error)),)
        self._rows += 1
        proposal = Proposal(np.array([self._target]), np.zeros(1, np.int64), np.zeros(1))
        return Answer(proposal, np.array([error.fault]), faults)

    def state(self) -> dict[str, Floats]:
        """What the guest remembers, or remembered before it failed, and what is remembered of its conduct."""
        if not self._moved:
            try:
                self._told = self.guest.state()
            except GuestError:
                self._moved = True  # so that it goes on as whoever restores this state does
        bench = np.array([self._target, self._rows, self._fault, self._fault_at], np.float64)
        return {_BENCH: bench, **{f"{_AGENT}{name}": value.copy() for name, value in self._told.items()}}

    def restore(self, state: dict[str, Floats]) -> None:
        """As `Agent` says; raises GuestError where the guest cannot go on from it."""
        told = {n.removeprefix(_AGENT): value for n, value in state.items() if n.startswith(_AGENT)}
        bench = state.get(_BENCH)
        if bench is None or bench.shape != (4,):
            raise GuestError(f"the state of agent {self.name} lacks what is known of its conduct", RAISED)
        self.guest.restore(told)
        self._told, self._moved = told, False
        self._target = float(bench[0])
        self._rows, self._fault, self._fault_at = map(int, bench[1:])


def _joined(each: list[Answer]) -> Answer:
    """The answers of single rows as one."""
    proposal = Proposal(*(np.concatenate(parts) for parts in zip(*(a.proposal for a in each), strict=True)))
    benched = np.concatenate([np.zeros(1, np.int64) if a.benched is None else a.benched for a in each])
    faults = tuple(Fault(t, f.why) for t, a in enumerate(each) for f in a.faults)
    return Answer(proposal, benched if benched.any() else None, faults)
