"""Stage "proposals": what the agents want; one worker may run many agents."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from windvane.agents.factory import create_agents
from windvane.metamodel.base.proposals import Joined, propose
from windvane.metamodel.base.upgrading import as_new
from windvane.streams.book import Book
from windvane.streams.books import BookStage
from windvane.streams.events import BookOpened, Event, Features, Proposals
from windvane.streams.joining import Source
from windvane.streams.stage import Build


class ProposalsBook(Book):
    """The agents of one book that run here, and features not worked off yet."""

    def __init__(self, opened: BookOpened, names: Sequence[str]) -> None:
        self.name = opened.book
        self.agents = create_agents(names)
        self.names = tuple(names)
        self.versions = tuple(agent.version for agent in self.agents)
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
        for agent in self.agents:
            saved |= {f"{agent.name}.{name}": value for name, value in agent.state().items()}
        return saved

    def load(self, saved: dict[str, Any]) -> None:
        """As `Book` says."""
        self.features = Source(saved["taken"])
        self.prices = Joined(saved["scale"], saved["last"])
        for agent in self.agents:
            prefix = f"{agent.name}."
            agent.restore({k.removeprefix(prefix): v for k, v in saved.items() if k.startswith(prefix)})

    def receive(self, event: Event) -> Sequence[Event]:
        """Keep features."""
        if isinstance(event, Features):
            self.features.add(event)
        return ()

    def advance(self, last_seq: int | None) -> Sequence[Event]:
        """Proposals for all rows that are there."""
        return [self._propose(rows) for rows in self.features.pop_all()]

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
    """Features in, Proposals out. agents: which of a book's agents run here; None: all."""

    upcasts = (as_new("scale", "last"),)

    def __init__(self, snapshot: bytes | None, agents: tuple[str, ...] | None = None) -> None:
        self._agents = agents
        super().__init__(snapshot)

    def new_book(self, opened: BookOpened) -> ProposalsBook:
        """A book at its first row, with those of its agents that run here."""
        agents = opened.config.agents
        return ProposalsBook(opened, [a for a in agents if self._agents is None or a in self._agents])


def proposals_of(agents: Sequence[str]) -> Build:
    """What builds the stage for a worker that runs these agents only."""
    return partial(ProposalsStage, agents=tuple(agents))
