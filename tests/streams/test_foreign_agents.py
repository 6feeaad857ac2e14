"""Agents whose code is not ours in the pipeline: the same bytes, and no record from outside that runs code."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

import guests
from simulated_book import config, opening, plain_run, same, table, ticks
from windvane.agents import factory
from windvane.agents.roster import Roster, roster
from windvane.metamodel.base.config import ConfigError, TradingConfig, WeighingConfig
from windvane.metamodel.learning.members import MEMBERS
from windvane.streams.codec import to_json
from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.events import (
    BookClosed,
    BookOpened,
    DeadLetter,
    Decisions,
    Event,
    Features,
    Orders,
    Proposals,
    Ticks,
    cut,
)
from windvane.streams.recorded import said_by
from windvane.streams.stage import StateError
from windvane.streams.topics import DECISIONS, FEATURES, FILLS, ORDERS, STATEMENTS, TICKS
from windvane.streams.topology import TOPOLOGY, bound
from windvane.streams.worker import StageWorker

ROWS = 900
RESULTS = {topic.name for topic in (DECISIONS, ORDERS, FILLS, STATEMENTS)}
BELIEVE_NOTHING_KNOWN = tuple(float(name in ("equal", "prod", "contextual")) for name in MEMBERS)
"""The members that know nothing of any agent before the first row."""


def book(words: list[str], prior: tuple[float, ...] | None = None) -> tuple[TradingConfig, Roster]:
    """A book of these agents."""
    found = roster(words)
    weighing = WeighingConfig(meta_training_frequency=3, learner_lag=7)
    if prior is not None:
        weighing = msgspec.structs.replace(weighing, prior=prior)
    return config(weighing=weighing, **found.recorded()), found


def run(settings: TradingConfig, agents: Roster, rows: Ticks | None = None) -> list[Event]:
    """The results of a book; its agents are told of nowhere but in its opening and in proposals."""
    seen: list[Event] = []
    runner = EmbeddedRunner(
        lambda topic, event: seen.append(event) if topic.name in RESULTS else None,
        topology=bound(agents.bindings),
    )
    whole = ticks(ROWS) if rows is None else rows
    runner.feed([opening(settings), whole, BookClosed(book="book", last=len(whole) - 1)])
    assert seen
    return seen


def renamed(events: list[Event], old: str, new: str) -> list[bytes]:
    return [to_json(event).replace(f'"{old}"'.encode(), f'"{new}"'.encode()) for event in events]


class TestSameBytes:
    RULES = tuple(factory.RULES)

    def swapped(self, origin: str) -> list[str]:
        return [f"{name}={origin}" if name == "donchian_breakout" else name for name in self.RULES]

    def test_a_rule_is_the_same_as_a_class_of_ones_own_under_its_id(self) -> None:
        ours = run(*book(list(self.RULES)))
        theirs = run(*book(self.swapped("guests:Breakout")))
        traded = [[to_json(e) for e in seen if not isinstance(e, Decisions)] for seen in (ours, theirs)]
        assert traded[0] == traded[1]
        assert any(isinstance(event, Orders) for event in ours)

    def test_a_built_in_class_is_known_wherever_it_is_named(self) -> None:
        ours = run(*book(list(self.RULES)))
        theirs = run(*book(self.swapped("windvane.agents.rules:DonchianBreakout")))
        assert [to_json(event) for event in ours] == [to_json(event) for event in theirs]

    def test_what_members_knew_of_the_rule_they_do_not_know_of_another_id(self) -> None:
        """Where only members are believed that knew nothing before, orders, fills and statements are the same."""
        named = [word.replace("donchian_breakout=", "mine=") for word in self.swapped("guests:Breakout")]

        def traded(words: list[str], *believed: tuple[float, ...]) -> list[bytes]:
            seen = run(*book(words, *believed))
            return [to_json(event) for event in seen if isinstance(event, Orders)]

        assert traded(list(self.RULES)) != traded(named)
        assert traded(list(self.RULES), BELIEVE_NOTHING_KNOWN) == traded(named, BELIEVE_NOTHING_KNOWN)

    def test_another_id_changes_names_alone(self) -> None:
        ours = run(*book(["vol_trend", "buy_and_hold"]))
        theirs = run(*book(["slow=vol_trend", "buy_and_hold"]))
        plain = [m.replace(b"agent:slow", b"agent:vol_trend") for m in renamed(theirs, "slow", "vol_trend")]
        assert plain == [to_json(event) for event in ours]

    def test_who_writes_into_its_rows_changes_nothing(self) -> None:
        kept = run(*book(["mine=guests:Drift", "vol_trend"]))
        spoilt = run(*book(["mine=guests:Vandal", "vol_trend"]))
        assert [to_json(event) for event in kept] == [to_json(event) for event in spoilt]

    @pytest.mark.parametrize("at", [1, 300, 899])
    def test_a_book_of_guests_goes_on_from_its_snapshot(self, at: int) -> None:
        """Of ids with dots, which also stand between an id and its arrays in a state."""
        settings, agents = book(["a=guests:Strict", "a.side=guests:Breakout", "a.b=vol_trend", "vol_trend"])
        seen: list[Event] = []

        def listen(topic: object, event: Event) -> None:
            seen.append(event)

        rows, end = ticks(ROWS), BookClosed(book="book", last=ROWS - 1)
        whole = EmbeddedRunner(listen, topology=bound(agents.bindings))
        whole.feed([opening(settings), rows, end])
        wanted, seen = table(seen), []
        first = EmbeddedRunner(listen, topology=bound(agents.bindings))
        first.feed([opening(settings), cut(rows, 0, at)])
        again = EmbeddedRunner(listen, topology=bound(agents.bindings), snapshot=first.snapshot())
        again.feed([cut(rows, at, ROWS), end])
        same(table(seen), wanted)


def stage(name: str) -> StageWorker:
    return StageWorker(next(s for s in TOPOLOGY if s.name == name), "test of 1")


def letters(worker: StageWorker) -> list[DeadLetter]:
    return [
        msgspec.json.decode(r.raw, type=DeadLetter) for r in worker.step() if r.topic.name == "dead-letters"
    ]


class TestHostileOpenings:
    """A BookOpened is signed by nobody."""

    @pytest.fixture
    def trap(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A module that writes a file when it is imported, and an entry point to it."""
        sprung = tmp_path / "sprung"
        (tmp_path / "trap.py").write_text(
            f"import pathlib\npathlib.Path({str(sprung)!r}).touch()\nfrom guests import Drift\n"
        )
        monkeypatch.syspath_prepend(str(tmp_path))
        point = factory.installed.__globals__["EntryPoint"]("trapped", "trap:Drift", "windvane.agents")
        monkeypatch.setattr(factory, "installed", lambda: {"trapped": point})
        return sprung

    def sent(self, agents: list[str], kinds: list[str]) -> bytes:
        raw = {"type": "BookOpened", "book": "book", "config": {"agents": agents, "kinds": kinds}}
        return msgspec.json.encode(raw)

    @pytest.mark.parametrize(
        "name", ["trap:Drift", "x=trap:Drift", "./trap", "a/b", "", "..", "trap:Drift\n", "x" * 99]
    )
    @pytest.mark.parametrize("as_kind", [False, True])
    def test_an_id_or_kind_that_could_be_code_is_refused(self, trap: Path, name: str, as_kind: bool) -> None:
        agents, kinds = (["mine"], [name]) if as_kind else ([name], ["class"])
        worker = stage("features")
        worker.receive(TICKS, 0, self.sent(agents, kinds))
        (letter,) = letters(worker)
        assert "is no name of an agent or kind" in letter.reason
        assert worker.logic.progress("book").state == "unknown"
        assert not trap.exists()

    @pytest.mark.parametrize("kind", ["class", "policy", "remote", "trapped", "trap.Drift", "nobody"])
    @pytest.mark.parametrize("name", [s.name for s in TOPOLOGY])
    def test_a_kind_that_nobody_here_named_runs_no_code(self, trap: Path, kind: str, name: str) -> None:
        guests.Drift.made.clear()
        settings = config(agents=("vol_trend", "mine"), kinds=("vol_trend", kind))
        opened, logic = opening(settings), next(s for s in TOPOLOGY if s.name == name).build(None)
        out = logic.step([opened])
        assert not [event for event in out if isinstance(event, DeadLetter)]
        assert logic.progress("book").state == "open"
        assert not guests.Drift.made
        assert not trap.exists()

    def test_what_is_bound_here_under_another_kind_is_not_run_for_it(self, trap: Path) -> None:
        """A machine that runs a class of its own as `mine` runs nothing for a book whose `mine` is remote."""
        agents = roster(["vol_trend", "mine=guests:Drift"])
        stages = bound(agents.bindings)
        proposals = next(s for s in stages if s.name == "proposals").build(None)
        guests.Drift.made.clear()
        proposals.step([opening(config(agents=("vol_trend", "mine"), kinds=("vol_trend", "remote")))])
        assert not guests.Drift.made

    def test_names_of_unlike_number_are_refused(self) -> None:
        with pytest.raises(
            ConfigError, match="kinds of agents has 1 entries: give one for each of the 2, or none"
        ):
            config(agents=("a", "b"), kinds=("class",))
        with pytest.raises(ConfigError, match="versions of agents has 3 entries"):
            config(agents=("a", "b"), versions=("1", "1", "1"))
        with pytest.raises(ConfigError, match="give at most 64 printable letters"):
            config(agents=("a",), kinds=("class",), versions=("1\n",))


class TestWorkers:
    def test_a_worker_runs_the_class_that_its_word_binds(self) -> None:
        agents = roster(["mine=guests:Drift"])
        settings = config(**roster(["vol_trend", "mine=guests:Drift"]).recorded())
        whole = next(s for s in TOPOLOGY if s.name == "proposals")
        worker = StageWorker(whole.run_by(agents.ids, agents.bindings), "test of 1")
        for offset, event in enumerate(self.features(settings)):
            worker.receive(FEATURES, offset, to_json(event))
        said = [r for r in worker.step() if r.topic.name == "proposals"]
        assert said
        assert b"guests" not in b"".join(r.raw for r in said)
        for record in said:
            told = msgspec.json.decode(record.raw)
            assert (told["agents"], told["versions"]) == (["mine"], ["3"])

    def features(self, settings: TradingConfig) -> list[Event]:
        seen: list[Event] = []
        EmbeddedRunner(
            lambda topic, event: seen.append(event) if topic == FEATURES else None, wire=True
        ).feed([opening(settings), ticks(60)])
        return seen

    def test_a_state_of_another_class_is_refused_with_its_book(self) -> None:
        settings, agents = book(["mine=guests:Drift"])
        proposals = next(s for s in bound(agents.bindings) if s.name == "proposals")
        logic = proposals.build(None)
        logic.step([opening(settings)])
        others = roster(["mine=guests:Breakout"])
        other = next(s for s in bound(others.bindings) if s.name == "proposals")
        with pytest.raises(
            StateError, match="book book cannot go on: agent mine cannot go on from its state"
        ) as refused:
            other.build(logic.snapshot())
        assert refused.value.book == "book"


class TestVersions:
    def test_they_are_told_and_open_no_other_book(self) -> None:
        settings = config(agents=("mine",), kinds=("class",), versions=("1",))
        newer = msgspec.structs.replace(settings, versions=("2",))
        logic = next(s for s in TOPOLOGY if s.name == "features").build(None)
        first, second = opening(settings), opening(newer)
        assert first.digest == second.digest
        assert not [e for e in logic.step([first]) + logic.step([second]) if isinstance(e, DeadLetter)]

    def test_another_kind_is_another_book(self) -> None:
        kinds = [(), ("class",), ("remote",)]
        digests = {opening(config(agents=("vol_trend",), kinds=k)).digest for k in kinds}
        assert len(digests) == 3


def test_a_part_of_proposals_is_theirs_to_the_bit() -> None:
    seen = plain_run([opening(config()), ticks(40)])
    whole = next(event for _, event in seen if isinstance(event, Proposals))
    part = said_by(whole, ("vol_trend", "ema_momentum", "nobody"))
    assert part is not None
    assert part.agents == ("ema_momentum", "vol_trend")
    for name in ("target", "action", "confidence"):
        for place, agent in enumerate(part.agents):
            column = getattr(whole, name)[:, whole.agents.index(agent)]
            assert np.array_equal(getattr(part, name)[:, place], column)
    assert said_by(whole, ("nobody",)) is None
    assert said_by(whole, whole.agents) is whole


def test_nothing_that_is_published_or_stored_names_code() -> None:
    settings, agents = book(["mine=guests:Drift", "vol_trend"])
    seen: list[Event] = []
    runner = EmbeddedRunner(lambda topic, event: seen.append(event), topology=bound(agents.bindings))
    runner.feed([opening(settings), ticks(ROWS)])
    stored = runner.snapshot()
    assert b"guests" not in b"".join(map(to_json, seen))
    assert b"guests" not in stored
    assert b"Drift" not in stored
    assert isinstance(seen[0], BookOpened)
    assert any(isinstance(event, Features) for event in seen)
