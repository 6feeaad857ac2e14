"""As recorded: a run computed again with the choices that time made in it, and with what was learned in it.

What agents proposed that are not built in is played, too, since nothing here may run their code.
"""

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from windvane.metamodel.base.weights import to_bytes
from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.events import Decisions, LearnerUpdate, Proposals, Shadows, TrainRequest, TrainResult
from windvane.streams.stage import Training
from windvane.streams.topics import LEARNER, PROPOSALS


class RecordedChoices:
    """The decisions and learner versions of one book, handed to a runner no earlier than its rows need them.

    decisions, updates: as they were published, each in order; they are read as far as `follow` asks.
    """

    def __init__(
        self, decisions: Iterable[Decisions], updates: Iterable[LearnerUpdate], runner: EmbeddedRunner
    ) -> None:
        self._decisions = iter(decisions)
        self._updates = iter(updates)
        self._update = next(self._updates, None)
        self._runner = runner
        self._last = -1  # seq of the last row whose choices the runner has

    def follow(self, seq: int) -> None:
        """Hand over the choices of all rows up to `seq`, and the versions that they train; before the rows are fed."""
        while self._update is not None and self._update.trained_at <= seq:
            self._runner.send(LEARNER, self._update)
            self._update = next(self._updates, None)
        while self._last < seq and (decisions := next(self._decisions, None)) is not None:
            self._runner.follow(decisions)
            self._last = decisions.last


class RecordedProposals:
    """What some agents of a book proposed, handed to a runner no earlier than its rows need it.

    agents: their ids; proposals: as they were published, in order; they are read as far as `follow` asks.
    """

    def __init__(self, agents: Sequence[str], proposals: Iterable[Proposals], runner: EmbeddedRunner) -> None:
        self._next = dict.fromkeys(agents, 0)  # seq after the last row that the runner has of each agent
        self._proposals = iter(proposals)
        self._runner = runner

    def follow(self, seq: int) -> None:
        """Hand over what was proposed on all rows up to `seq`; before the rows are fed."""
        while min(self._next.values(), default=seq + 1) <= seq:
            event = next(self._proposals, None)
            if event is None:
                return
            part = said_by(event, tuple(self._next))
            if part is not None:
                self._runner.send(PROPOSALS, part)
                self._next |= dict.fromkeys(part.agents, part.last + 1)

    def silent_from(self, seq: int) -> dict[str, int]:
        """The agents of which the rows below `seq` are not all there, and the first row that is not."""
        return {agent: at for agent, at in self._next.items() if at < seq}


def said_by(proposals: Proposals, agents: Sequence[str]) -> Proposals | None:
    """The part of proposals that these agents made, None where there is none."""
    names = tuple(name for name in proposals.agents if name in agents)
    if not names or names == proposals.agents:
        return proposals if names else None
    places = [proposals.agents.index(name) for name in names]
    return msgspec.structs.replace(
        proposals,
        agents=names,
        versions=tuple(proposals.versions[place] for place in places),
        target=np.ascontiguousarray(proposals.target[:, places]),
        action=np.ascontiguousarray(proposals.action[:, places]),
        confidence=np.ascontiguousarray(proposals.confidence[:, places]),
    )


def told_of(shadows: Shadows, agents: Sequence[str]) -> Shadows | None:
    """The part of statements that is of these shadows, None where there is none."""
    places = [place for place, name in enumerate(shadows.agents) if name in agents]
    if not places:
        return None
    columns = {
        name: np.ascontiguousarray(getattr(shadows, name)[:, places]) for name in type(shadows).matrices
    }
    names = tuple(shadows.agents[place] for place in places)
    versions = tuple(shadows.versions[place] for place in places)
    return msgspec.structs.replace(shadows, agents=names, versions=versions, **columns)


class _Untrained:
    """A training that is done at once and has learned nothing."""

    def __init__(self, request: TrainRequest) -> None:
        self._request = request

    def done(self) -> bool:
        """True: there is nothing to wait for."""
        return True

    def result(self) -> TrainResult:
        """No weights, so the version counts as kept."""
        return TrainResult(book=self._request.book, version=self._request.version, raw=to_bytes({}, {}))


def untrained(request: TrainRequest) -> Training:
    """The trainer of a run computed as recorded: with a version that the log does not have nothing was decided."""
    return _Untrained(request)
