"""Agents in the shadow of a book: each has an account of its own, and nobody else hears of what it wants."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np

from windvane.agents.base import Agent, Floats, Ints, Proposal
from windvane.agents.guest import GuestError
from windvane.metamodel.base.config import TradingConfig, WeighingConfig
from windvane.metamodel.base.proposals import Proposals
from windvane.metamodel.base.times import DAY
from windvane.metamodel.trading.columns import BASELINES, STATEMENT, Inputs
from windvane.metamodel.trading.ensemble import Ensemble, Round
from windvane.streams.events import Features, Shadows, cut

_PREFIX = "shadows:"
"""What the names of its arrays begin with in a state; a colon is in the id of no agent."""


class Bystander(Agent):
    """An agent in the shadow of a book, `agent`, called `name`: where it fails it wants nothing from then on.

    What it fails at concerns nobody else, so the book goes on; `fallen` says why, once.
    """

    def __init__(self, name: str, agent: Agent) -> None:
        self.name, self.agent = name, agent
        self.version, self.warmup = agent.version, agent.warmup
        self._down = np.zeros(1, np.int64)  # 1 once it has failed
        self._why: list[str] = []

    def propose(self, x: Floats, price: Floats, good: Ints) -> Proposal:
        """As `Agent` says; no target and no confidence where the agent has failed."""
        if not self._down[0]:
            try:
                return self.agent.propose(x, price, good)
            except GuestError as error:
                self._down[0] = 1
                self._why.append(str(error))
        n = len(price)
        return Proposal(np.zeros(n), np.zeros(n, np.int64), np.zeros(n))

    def fallen(self) -> list[str]:
        """Why it has failed since the last call, in a sentence; none where it has not."""
        why, self._why = self._why, []
        return why

    def state(self) -> dict[str, Any]:
        """As `Agent` says; of one that has failed, that it has."""
        return {"down": self._down.copy(), **({} if self._down[0] else self.agent.state())}

    def restore(self, state: dict[str, Any]) -> None:
        """As `Agent` says."""
        rest = dict(state)
        self._down = np.array(rest.pop("down"), np.int64)
        if not self._down[0]:
            self.agent.restore(rest)


class ShadowAccounts:
    """Accounts of agents that take no part in a book: the accounts of agents in an ensemble that nobody follows.

    They meet the prices, costs, delay and limits of the book; controls of people do not reach them. agents: their ids,
    one or more.
    """

    def __init__(self, config: TradingConfig, agents: Sequence[str]) -> None:
        self.agents = tuple(agents)
        kinds = dict(zip(config.shadows, config.kinds_of_shadows, strict=True))
        self._ensemble = Ensemble(
            msgspec.structs.replace(
                config,
                agents=self.agents,
                kinds=tuple(kinds[agent] for agent in self.agents),
                versions=(),
                seats=(),
                shadows=(),
                shadow_kinds=(),
                shadow_versions=(),
                weighing=WeighingConfig(),
            )
        )

    def state(self) -> dict[str, np.ndarray]:
        """Copies of all that is remembered, by name."""
        return {f"{_PREFIX}{name}": value for name, value in self._ensemble.state().items()}

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Go on from a book's state with what `state` returned in it."""
        self._ensemble.restore(
            {name.removeprefix(_PREFIX): value for name, value in saved.items() if name.startswith(_PREFIX)}
        )

    def step(self, rows: Features, said: Proposals, versions: tuple[str, ...]) -> list[Shadows]:
        """Trade n rows by what the agents want; returns where the accounts stood when UTC days ended.

        The rows are taken a day at a time, so that the scores told are those at the end of the day.
        """
        day = (rows.ts - 1) // DAY
        edges = [0, *(np.flatnonzero(np.diff(day)) + 1).tolist(), len(rows)]
        out = []
        for start, stop in pairwise(edges):
            scores, piece = self._scores(), cut(rows, start, stop)
            optional = {name: getattr(piece, name) for name in ("bid", "ask", "size", "regime")}
            result = self._ensemble.step(
                Inputs.of(
                    *(piece.seq, piece.ts, piece.flags, piece.x, piece.mid),
                    *(said.target[start:stop], said.confidence[start:stop]),
                    **optional,
                )
            )
            out += [self._told(rows.book, result, scores, versions)] if result.statements else []
        return out

    def close(self, book: str, versions: tuple[str, ...]) -> list[Shadows]:
        """Where the accounts stand on the day that was under way when the book ended; nothing where it had no row."""
        result = self._ensemble.close()
        return [] if result is None else [self._told(book, result, self._scores(), versions)]

    def _scores(self) -> Floats:
        """Mean normalised score (S,) of every agent so far."""
        names = self._ensemble.manager.mean_scores
        return np.array([names[agent] for agent in self.agents])

    def _told(self, book: str, result: Round, scores: Floats, versions: tuple[str, ...]) -> Shadows:
        out, n = result.outputs, result.statements
        days = {name: out.day[name][:n].copy() for name in ("seq", "ts", "day")}
        columns = {name: np.ascontiguousarray(out.statement[name][:n, BASELINES:]) for name in STATEMENT}
        score = np.tile(scores, (n, 1))
        return Shadows(book=book, agents=self.agents, versions=versions, score=score, **days, **columns)
