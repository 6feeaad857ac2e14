"""Stage "proposals": what the agents want; one worker may run many agents."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from windvane.agents.factory import create_agents
from windvane.metamodel.base.proposals import Joined, propose
from windvane.metamodel.base.upgrading import as_new
from windvane.streams.books import BookStage
from windvane.streams.events import BookOpened, Event, Features, Proposals
from windvane.streams.joining import Source


class _Book:
    def __init__(self, opened: BookOpened, names: Sequence[str], taken: int = 0) -> None:
        self.name = opened.book
        self.agents = create_agents(names)
        self.names = tuple(names)
        self.versions = tuple(agent.version for agent in self.agents)
        self.features: Source[Features] = Source(taken)
        self.prices = Joined()

    def save(self) -> dict[str, Any]:
        saved: dict[str, Any] = {
            "taken": self.features.taken,
            "scale": self.prices.scale,
            "last": self.prices.last,
        }
        for agent in self.agents:
            saved |= {f"{agent.name}.{name}": value for name, value in agent.state().items()}
        return saved


class ProposalsStage(BookStage[_Book]):
    """Features in, Proposals out. agents: which of a book's agents run here; None: all."""

    upcasts = (as_new("scale", "last"),)

    def __init__(self, snapshot: bytes | None, agents: tuple[str, ...] | None = None) -> None:
        self._agents = agents
        super().__init__(snapshot)

    def _names(self, opened: BookOpened) -> tuple[str, ...]:
        return tuple(a for a in opened.config.agents if self._agents is None or a in self._agents)

    def open(self, opened: BookOpened) -> _Book:
        """A new book."""
        return _Book(opened, self._names(opened))

    def restore(self, opened: BookOpened, saved: dict[str, Any]) -> _Book:
        """A book from its snapshot."""
        book = _Book(opened, self._names(opened), saved["taken"])
        book.prices = Joined(saved["scale"], saved["last"])
        for agent in book.agents:
            prefix = f"{agent.name}."
            agent.restore({k.removeprefix(prefix): v for k, v in saved.items() if k.startswith(prefix)})
        return book

    def knows(self, event: Event) -> bool:
        """As of every stage; proposals of agents that run elsewhere are not its own."""
        if (
            isinstance(event, Proposals)
            and self._agents is not None
            and not set(event.agents) <= {*self._agents}
        ):
            return True
        return super().knows(event)

    def take(self, state: _Book, event: Event) -> Iterator[Event]:
        """Hold features."""
        if isinstance(event, Features):
            state.features.add(event)
        yield from ()

    def done(self, state: _Book) -> int:
        """Next seq."""
        return state.features.taken

    def advance(self, state: _Book, closing: int | None) -> Iterator[Event]:
        """Proposals for all rows that are there."""
        source = state.features
        while source.covers > source.taken:
            yield _propose(state, source.take(source.end_of_piece(source.covers)))


def _propose(book: _Book, rows: Features) -> Proposals:
    proposals = propose(book.agents, book.prices, rows.flags, rows.x, rows.mid)
    return Proposals(
        book=book.name,
        seq=rows.seq,
        agents=book.names,
        versions=book.versions,
        target=proposals.target,
        action=proposals.action,
        confidence=proposals.confidence,
    )


def proposals_of(agents: Sequence[str]) -> Any:
    """A builder of the stage for a worker that runs these agents only."""
    return partial(ProposalsStage, agents=tuple(agents))
