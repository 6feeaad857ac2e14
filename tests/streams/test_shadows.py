"""Agents in the shadow of a book: accounts as those of its agents, and nothing of the book depends on them."""

from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import guests
from simulated_book import config, opening, spoil, ticks
from windvane.agents.roster import roster
from windvane.metamodel.base.config import ConfigError, TradingConfig
from windvane.metamodel.trading.columns import STATEMENT
from windvane.streams.codec import to_json
from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.events import BookClosed, BookOpened, DeadLetter, Event, Shadows, Statements, cut, join
from windvane.streams.topics import PROPOSALS, SHADOWS, Topic
from windvane.streams.topology import bound

ROWS = 1500
AGENTS = ("vol_trend", "ema_momentum", "buy_and_hold")
THEIRS = {"shadows", "dead-letters"}


def shadowed(*words: str, **changes: Any) -> tuple[TradingConfig, EmbeddedRunner, list[tuple[str, Event]]]:
    """A book with shadows, and all that lies on its topics once it is fed."""
    found, seen = roster(words), list[tuple[str, Event]]()
    whole = config(agents=AGENTS, **found.shadowing(), **changes)
    runner = EmbeddedRunner(
        lambda topic, event: seen.append((topic.name, event)), topology=bound(found.bindings)
    )
    return whole, runner, seen


def fed(*words: str, **changes: Any) -> list[tuple[str, Event]]:
    whole, runner, seen = shadowed(*words, **changes)
    runner.feed([opening(whole), spoil(ticks(ROWS)), BookClosed(book="book", last=ROWS - 1)])
    return seen


def told(seen: list[tuple[str, Event]]) -> Shadows:
    return join([event for _, event in seen if isinstance(event, Shadows)])


def others(seen: list[tuple[str, Event]]) -> list[bytes]:
    """All that is published but of shadows, less the opening, which names them."""
    return [to_json(e) for name, e in seen if name not in THEIRS and not isinstance(e, BookOpened)]


class TestNothingDependsOnThem:
    def test_every_byte_that_is_published_is_the_same(self) -> None:
        without = others(fed())
        assert others(fed("s=vol_trend", "mine=guests:Drift")) == without
        assert others(fed("mine=guests:Vandal")) == without

    def test_a_book_with_seats_has_shadows_too(self) -> None:
        seated = {"seats": AGENTS[:1]}
        assert others(fed("s=vol_trend", **seated)) == others(fed(**seated))

    def test_one_that_fails_wants_nothing_from_then_on_and_is_told_of(self) -> None:
        seen = fed("s=vol_trend", "mine=guests:Unwell", "loud=guests:Greedy")
        assert others(seen) == others(fed())
        letters = [e.reason for _, e in seen if isinstance(e, DeadLetter) and "shadow" in e.reason]
        assert len(letters) == 2
        assert letters[0].startswith("agent mine cannot propose (KeyError")
        assert letters[0].endswith("from seq 0 on this shadow wants nothing")
        assert letters[1].startswith("agent loud proposes a target of 2.0")
        rows = told(seen)
        assert not rows.orders[:, rows.agents.index("mine")].any()
        assert rows.orders[-1, rows.agents.index("s")] > 0

    def test_nobody_hears_what_they_want(self) -> None:
        for name, event in fed("s=vol_trend"):
            if name == PROPOSALS.name:
                assert getattr(event, "agents", AGENTS) == AGENTS
            assert (name == SHADOWS.name) == isinstance(event, Shadows)


class TestTheirAccounts:
    def test_they_are_those_of_the_same_agents_in_the_book(self) -> None:
        seen = fed("s=vol_trend", "e=ema_momentum")
        ours = join([event for _, event in seen if isinstance(event, Statements)])
        theirs = told(seen)
        assert theirs.agents == ("s", "e")
        assert np.array_equal(theirs.seq, ours.seq)
        for column in STATEMENT:
            for place, agent in enumerate(("vol_trend", "ema_momentum")):
                mine = getattr(ours, column)[:, ours.accounts.index(f"agent:{agent}")]
                assert np.array_equal(getattr(theirs, column)[:, place], mine), (column, agent)
        assert theirs.orders[-1].min() > 0

    @settings(max_examples=12, deadline=None)
    @given(edges=st.lists(st.integers(1, ROWS - 1), max_size=6, unique=True), stored=st.booleans())
    def test_they_do_not_depend_on_how_rows_are_cut_or_on_restarts(
        self, edges: list[int], stored: bool
    ) -> None:
        words = ("s=vol_trend", "a.b=guests:Drift")
        wanted, rows = msgspec.structs.asdict(told(fed(*words))), spoil(ticks(ROWS))
        whole, runner, seen = shadowed(*words)
        runner.feed([opening(whole)])

        def listen(topic: Topic, event: Event) -> None:
            seen.append((topic.name, event))

        for start, stop in pairwise([0, *sorted(edges), ROWS]):
            runner.feed([cut(rows, start, stop)])
            if stored:
                stages = bound(roster(words).bindings)
                runner = EmbeddedRunner(listen, topology=stages, snapshot=runner.snapshot())
        runner.feed([BookClosed(book="book", last=ROWS - 1)])
        for name, value in msgspec.structs.asdict(told(seen)).items():
            assert np.array_equal(value, wanted[name]), name

    def test_scores_are_means_since_the_book_was_opened(self) -> None:
        rows = told(fed("s=vol_trend", "b=buy_and_hold"))
        assert np.isfinite(rows.score).all()
        assert (np.abs(rows.score) <= 4.0).all()
        assert len(np.unique(rows.score[:, 0])) > 3

    def test_a_failed_one_stays_down_after_a_restart(self) -> None:
        words = ("mine=guests:Greedy",)
        whole, runner, _ = shadowed(*words)
        rows = ticks(ROWS)
        runner.feed([opening(whole), cut(rows, 0, 700)])
        seen: list[Event] = []
        again = EmbeddedRunner(
            lambda topic, event: seen.append(event),
            topology=bound(roster(words).bindings),
            snapshot=runner.snapshot(),
        )
        again.feed([cut(rows, 700, ROWS), BookClosed(book="book", last=ROWS - 1)])
        assert not [event for event in seen if isinstance(event, DeadLetter)]


class TestRefusals:
    def test_a_shadow_that_nobody_here_named_runs_no_code(self) -> None:
        guests.Drift.made.clear()
        seen: list[Event] = []
        whole = config(agents=AGENTS, shadows=("mine",), shadow_kinds=("class",))
        EmbeddedRunner(lambda topic, event: seen.append(event)).feed([opening(whole), ticks(60)])
        assert not guests.Drift.made
        assert not [event for event in seen if isinstance(event, DeadLetter | Shadows)]

    def test_an_unknown_one_is_refused(self) -> None:
        seen: list[Event] = []
        runner = EmbeddedRunner(lambda topic, event: seen.append(event))
        runner.feed([opening(config(agents=AGENTS, shadows=("mine",)))])
        assert any(isinstance(e, DeadLetter) and "unknown agent 'mine'" in e.reason for e in seen)

    @pytest.mark.parametrize("shadows", [("vol_trend",), ("a", "a")])
    def test_an_id_stands_for_one(self, shadows: tuple[str, ...]) -> None:
        with pytest.raises(ConfigError, match="names one agent twice"):
            config(agents=AGENTS, shadows=shadows)

    def test_their_names_are_plain(self) -> None:
        with pytest.raises(ConfigError, match="is no name of an agent or kind"):
            config(agents=AGENTS, shadows=("a:b",), shadow_kinds=("class",))
