"""Stage "proposals": what the agents want; one worker may run many agents."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

from windvane.agents.base import Agent
from windvane.agents.bench import Bench
from windvane.agents.factory import Binding
from windvane.agents.roster import UNBOUND, Bindings, made_here
from windvane.metamodel.base.proposals import Joined, propose
from windvane.metamodel.base.upgrading import Saved, as_new
from windvane.streams.book import Book, letter
from windvane.streams.books import BookStage
from windvane.streams.events import BookClosed, BookOpened, DeadLetter, Event, Features, Proposals
from windvane.streams.joining import Source
from windvane.streams.shadows import Bystander, ShadowAccounts
from windvane.streams.stage import Build, StateError

_LONGEST_ANSWER = 0.25
"""Seconds that an agent in a process of its own may take for a row: the others of its worker wait for it meanwhile."""

UNSHADOWED: Mapping[str, Agent] = MappingProxyType({})
"""No shadows."""


class ProposalsBook(Book):
    """The agents and shadows of one book that run here, by their ids, and features not worked off yet."""

    def __init__(
        self, opened: BookOpened, agents: Mapping[str, Agent], shadows: Mapping[str, Agent] = UNSHADOWED
    ) -> None:
        self.name = opened.book
        self.agents = tuple(agents.values())
        self.names = tuple(agents)
        self.versions = tuple(agent.version for agent in self.agents)
        self.shadows = tuple(Bystander(name, agent) for name, agent in shadows.items())
        self.shadow_versions = tuple(agent.version for agent in self.shadows)
        self.accounts = ShadowAccounts(opened.config, tuple(shadows)) if shadows else None
        self._all: dict[str, Agent] = {**agents, **dict(zip(shadows, self.shadows, strict=True))}
        self.features: Source[Features] = Source()
        self.prices = Joined()

    @property
    def next_seq(self) -> int:
        """As `Book` says."""
        return self.features.next_seq

    def save(self) -> dict[str, Any]:
        """As `Book` says."""
        saved: dict[str, Any] = {
            "taken": self.features.next_seq,
            "scale": self.prices.scale,
            "last": self.prices.last,
        }
        for agent, prefix in self._prefixed():
            saved |= {f"{prefix}{name}": value for name, value in agent.state().items()}
        return saved if self.accounts is None else saved | self.accounts.state()

    def fixed(self, fresh: dict[str, Any]) -> dict[str, Any]:
        """As `Book` says; of an agent that is not ours, its own `restore` knows what fits."""
        guests = [prefix for agent, prefix in self._prefixed() if isinstance(agent, Bench | Bystander)]
        return {name: value for name, value in fresh.items() if not name.startswith(tuple(guests))}

    def load(self, saved: dict[str, Any]) -> None:
        """As `Book` says."""
        self.features = Source(saved["taken"])
        self.prices = Joined(saved["scale"], saved["last"])
        for agent, prefix in self._prefixed():
            state = {k.removeprefix(prefix): v for k, v in saved.items() if k.startswith(prefix)}
            try:
                agent.restore(state)
            except ValueError as error:
                raise StateError(f"book {self.name} cannot go on: {error}", self.name) from error
        if self.accounts is not None:
            self.accounts.restore(saved)

    def _prefixed(self) -> list[tuple[Agent, str]]:
        """Every agent, and what the names of its arrays begin with in a state; no one is the beginning of another.

        Ids with a dot have a colon before and after them, since a dot ends the others.
        """
        return [(agent, f":{name}:" if "." in name else f"{name}.") for name, agent in self._all.items()]

    def receive(self, event: Event) -> Sequence[Event]:
        """Keep features."""
        if isinstance(event, Features):
            self.features.add(event)
        return ()

    def advance(self, last_seq: int | None) -> Sequence[Event]:
        """Proposals for all rows that are there."""
        out: list[Event] = []
        for rows in self.features.pop_all():
            out += self._shadow(rows)  # before prices move on
            out += self._propose(rows)
        return out

    def end(self, closed: BookClosed) -> Sequence[Event]:
        """Where the accounts of shadows ended."""
        return [] if self.accounts is None else self.accounts.close(self.name, self.shadow_versions)

    def _shadow(self, rows: Features) -> Sequence[Event]:
        """What the shadows' accounts say of days that these rows end."""
        if self.accounts is None:
            return ()
        prices = Joined(self.prices.scale, self.prices.last)
        said = propose(self.shadows, prices, rows.flags, rows.x, rows.mid)
        fallen = [why for shadow in self.shadows for why in shadow.fallen()]
        letters = [
            letter(rows, f"{why}; from seq {rows.first} on this shadow wants nothing") for why in fallen
        ]
        return [*letters, *self.accounts.step(rows, said, self.shadow_versions)]

    def _propose(self, rows: Features) -> Iterator[Event]:
        """What the agents propose, behind a letter for each of their faults that is to be told of."""
        proposals = propose(self.agents, self.prices, rows.flags, rows.x, rows.mid)
        for place, fault in proposals.faults:
            yield _letter(self.name, self.names[place], int(rows.seq[fault.row]), fault.why)
        yield Proposals(
            book=self.name,
            seq=rows.seq,
            agents=self.names,
            versions=self.versions,
            target=proposals.target,
            action=proposals.action,
            confidence=proposals.confidence,
            benched=proposals.benched,
        )


def _letter(book: str, agent: str, seq: int, why: str) -> DeadLetter:
    return DeadLetter(
        book=book,
        source=f"agent {agent} of book {book}, seq {seq}",
        reason=f"{why}; it is benched at this row and at every other at which it fails, and the others go on"[
            :1000
        ],
        payload="",
    )


def upcast_v2_v3(saved: Saved, fresh: Saved) -> Saved:
    """From here on agents remember what came of their proposals, for their confidence."""
    return {name: new for name, new in fresh.items() if name.endswith((".confidence", ":confidence"))} | saved


class ProposalsStage(BookStage[ProposalsBook]):
    """Features in, Proposals out, and where the accounts of shadows stand.

    agents: which of a book's agents and shadows run here; None: all. bindings: what makes those of them that are not
    built in; whoever started this process has named them, so no record of a topic decides what code runs.
    """

    upcasts = (as_new("scale", "last"), upcast_v2_v3)

    def __init__(
        self, snapshot: bytes | None, agents: tuple[str, ...] | None = None, bindings: Bindings = UNBOUND
    ) -> None:
        self._agents = agents
        self._bindings = bindings
        super().__init__(snapshot)

    def new_book(self, opened: BookOpened) -> ProposalsBook:
        """A book at its first row, with those of its agents and shadows that run here."""
        config = opened.config
        seconds = min(_LONGEST_ANSWER, config.round_timeout / 2e9) if config.closing == "timed" else None
        agents = self._here(config.agents, config.kinds_of_agents)
        shadows = self._here(config.shadows, config.kinds_of_shadows)
        return ProposalsBook(
            opened,
            {name: _made(binding, seconds) for name, binding in agents},
            {name: _bare(binding, seconds) for name, binding in shadows},
        )

    def _here(self, names: Sequence[str], kinds: Sequence[str]) -> list[tuple[str, Binding]]:
        """What makes those of the agents that run here."""
        found = [
            (name, made_here(name, kind, self._bindings))
            for name, kind in zip(names, kinds, strict=True)
            if self._agents is None or name in self._agents
        ]
        return [
            (name, binding) for name, binding in found if binding is not None and binding.make is not None
        ]


def _made(binding: Binding, seconds: float | None) -> Agent:
    """A new agent, as `_bare`; one that is not ours on a bench."""
    agent = _bare(binding, seconds)
    return Bench(agent) if binding.word else agent


def _bare(binding: Binding, seconds: float | None) -> Agent:
    """A new agent; where time closes rounds, one that is not ours in a process of its own.

    seconds: that an answer may take there; None: the book waits for answers.
    """
    if seconds is not None and binding.apart is not None:
        return binding.apart(seconds)
    if binding.make is None:
        raise TypeError("this agent is made elsewhere")
    return binding.make()


def proposals_of(agents: Sequence[str] | None, bindings: Bindings = UNBOUND) -> Build:
    """What builds the stage for who runs these agents only, None: all of every book."""
    return partial(ProposalsStage, agents=None if agents is None else tuple(agents), bindings=bindings)
