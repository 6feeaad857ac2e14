"""Stage "proposals": what the agents want; one worker may run many agents."""

from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

from windvane.agents.base import Agent
from windvane.agents.guest import GuestAgent
from windvane.agents.roster import UNBOUND, Bindings, made_here
from windvane.metamodel.base.proposals import Joined, propose
from windvane.metamodel.base.upgrading import as_new
from windvane.streams.book import Book, letter
from windvane.streams.books import BookStage
from windvane.streams.events import BookClosed, BookOpened, Event, Features, Proposals
from windvane.streams.joining import Source
from windvane.streams.shadows import Bystander, ShadowAccounts
from windvane.streams.stage import Build, StateError

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
        guests = [prefix for agent, prefix in self._prefixed() if isinstance(agent, GuestAgent | Bystander)]
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
            out.append(self._propose(rows))
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

    def _propose(self, rows: Features) -> Proposals:
        proposals = propose(self.agents, self.prices, rows.flags, rows.x, rows.mid)
        return Proposals(
            book=self.name,
            seq=rows.seq,
            agents=self.names,
            versions=self.versions,
            target=proposals.target,
            action=proposals.action,
            confidence=proposals.confidence,
        )


class ProposalsStage(BookStage[ProposalsBook]):
    """Features in, Proposals out, and where the accounts of shadows stand.

    agents: which of a book's agents and shadows run here; None: all. bindings: what makes those of them that are not
    built in; whoever started this process has named them, so no record of a topic decides what code runs.
    """

    upcasts = (as_new("scale", "last"),)

    def __init__(
        self, snapshot: bytes | None, agents: tuple[str, ...] | None = None, bindings: Bindings = UNBOUND
    ) -> None:
        self._agents = agents
        self._bindings = bindings
        super().__init__(snapshot)

    def new_book(self, opened: BookOpened) -> ProposalsBook:
        """A book at its first row, with those of its agents and shadows that run here."""
        config = opened.config
        return ProposalsBook(
            opened,
            self._made(config.agents, config.kinds_of_agents),
            self._made(config.shadows, config.kinds_of_shadows),
        )

    def _made(self, names: Sequence[str], kinds: Sequence[str]) -> dict[str, Agent]:
        made: dict[str, Agent] = {}
        for name, kind in zip(names, kinds, strict=True):
            if self._agents is None or name in self._agents:
                binding = made_here(name, kind, self._bindings)
                if binding is not None and binding.make is not None:
                    made[name] = binding.make()
        return made


def proposals_of(agents: Sequence[str] | None, bindings: Bindings = UNBOUND) -> Build:
    """What builds the stage for who runs these agents only, None: all of every book."""
    return partial(ProposalsStage, agents=None if agents is None else tuple(agents), bindings=bindings)
