"""A book reserves columns for agents that are not there yet; a signed control wakes or retires one at a row."""

from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from simulated_book import config, opening, same, spoil, table, ticks
from windvane.agents.factory import RULES
from windvane.metamodel.base.config import ConfigError
from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.ensemble_stage import EnsembleStage
from windvane.streams.events import (
    BookClosed,
    Control,
    DeadLetter,
    Decisions,
    Event,
    Features,
    LearnerUpdate,
    Proposals,
    cut,
    join,
)

ROWS = 1100
NAMES = tuple(RULES)
SEAT, PLACE = NAMES[3], 3
SEATED = config(seats=(SEAT,), seat_rows=50)
WOKEN, RETIRED = 600, 905
ORDERS = [
    Control(book="book", number=1, action="wake", effective_from=WOKEN, agent=SEAT),
    Control(book="book", number=2, action="wake", effective_from=WOKEN + 1, agent=NAMES[0]),
    Control(book="book", number=3, action="retire", effective_from=RETIRED, agent=SEAT),
]


@cache
def inputs() -> list[Event]:
    """Features, proposals of all agents, and learner versions of the book."""
    seen: list[Event] = []
    runner = EmbeddedRunner(lambda topic, event: seen.append(event))
    runner.feed([opening(SEATED), spoil(ticks(1300)), BookClosed(book="book", last=1299)])
    return seen


def whole(kind: type[Any]) -> Any:
    return join([e for e in inputs() if isinstance(e, kind)])


def decided(closing: str, cuts: int, silent: tuple[int, int] = (0, 0)) -> list[Event]:
    """The book with its orders, fed in pieces; silent: rows that the agent in the seat never answers."""
    opened = opening(replace(SEATED, closing=closing))
    stage, rng = EnsembleStage(None), np.random.default_rng(cuts)
    out = stage.step([opened, *ORDERS, *[e for e in inputs() if isinstance(e, LearnerUpdate)]])
    features, proposals = whole(Features), whole(Proposals)
    others = [at for at in range(len(NAMES)) if at != PLACE]
    edges = sorted({0, ROWS, *silent, *rng.integers(1, ROWS, cuts).tolist()} - {0} | {0})
    for start, stop in pairwise(edges):
        pieces = [columns(proposals, others), columns(proposals, [PLACE])]
        if silent[0] <= start < silent[1]:
            pieces = pieces[:1]
        out += stage.step([cut(features, start, stop), *(cut(piece, start, stop) for piece in pieces)])
        if cuts and rng.random() < 0.3:
            stage = EnsembleStage(stage.snapshot())
            out += stage.step([e for e in inputs() if isinstance(e, LearnerUpdate)])
    return out


def columns(rows: Proposals, places: list[int]) -> Proposals:
    changed = {
        n: np.ascontiguousarray(getattr(rows, n)[:, places]) for n in ("target", "action", "confidence")
    }
    agents = tuple(rows.agents[place] for place in places)
    return replace(rows, agents=agents, versions=tuple(rows.versions[place] for place in places), **changed)


def rows_of(out: list[Event]) -> Decisions:
    return join([e for e in out if isinstance(e, Decisions)])


@pytest.mark.parametrize("closing", ["lockstep", "timed"])
class TestSeats:
    def test_a_seat_is_weighed_so_many_rows_after_it_was_woken_until_it_is_retired(
        self, closing: str
    ) -> None:
        out = decided(closing, 0, silent=(0, WOKEN + 1))
        rows = rows_of(out)
        assert len(rows) == ROWS
        assert rows.awake is not None
        weight = rows.weights[:, PLACE]
        assert not weight[1 : WOKEN + 51].any(), "the first row is bad, so nobody is weighed there"
        assert weight[WOKEN + 55 : RETIRED].min() > 0
        assert not weight[RETIRED:].any()
        there = np.flatnonzero(rows.awake[:, PLACE])
        assert (there[0], there[-1]) == (WOKEN + 1, RETIRED - 1)
        (letter,) = [e for e in out if isinstance(e, DeadLetter) and e.source.startswith("Control")]
        assert f"agent '{NAMES[0]}' has no seat: give one of {SEAT}" in letter.reason

    def test_the_cut_of_rows_and_stored_states_change_nothing(self, closing: str) -> None:
        once = decided(closing, 0)
        for cuts in (7, 40):
            same(table([rows_of(decided(closing, cuts))]), table([rows_of(once)]))

    def test_rows_before_it_is_woken_know_nothing_of_what_it_says(self, closing: str) -> None:
        silent, loud = rows_of(decided(closing, 5, silent=(0, WOKEN + 1))), rows_of(decided(closing, 5))
        same(table([silent]), table([loud]))


def test_a_lockstep_book_waits_for_a_woken_seat_and_goes_on_once_it_is_retired() -> None:
    stage = EnsembleStage(None)
    updates = [e for e in inputs() if isinstance(e, LearnerUpdate)]
    proposals = columns(whole(Proposals), [at for at in range(len(NAMES)) if at != PLACE])
    out = stage.step([opening(SEATED), ORDERS[0], *updates, whole(Features), proposals])
    assert rows_of(out).last == WOKEN
    (lasting,) = stage.lasting().values()
    assert (
        f"no worker proposes for agents {SEAT}, so book book waits at seq {WOKEN + 1}" in lasting.trouble.text
    )
    out = stage.step([replace(ORDERS[2], number=2, effective_from=0)])
    assert rows_of(out).first == WOKEN + 1


def test_embedded_the_seat_is_empty_until_it_is_woken() -> None:
    seen: list[Event] = []
    runner = EmbeddedRunner(lambda topic, event: seen.append(event))
    runner.feed([opening(SEATED)])
    runner.control(ORDERS[:1])
    runner.feed([ticks(ROWS), BookClosed(book="book", last=ROWS - 1)])
    weight = rows_of(seen).weights[:, PLACE]
    assert not weight[: WOKEN + 51].any()
    assert weight[WOKEN + 55 :].min() > 0
    scores = [e.scores[PLACE] for e in seen if isinstance(e, LearnerUpdate)]
    assert not any(scores), "feedback does not score a seat"


@pytest.mark.parametrize(
    ("seats", "said"),
    [
        (("nobody",), "seats names nobody: name agents of the book"),
        ((SEAT, SEAT), "seats names one agent twice"),
        (NAMES, "seats names every agent"),
    ],
)
def test_seats_that_cannot_be_are_refused(seats: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        config(seats=seats)
