"""A snapshot that is copied bit by bit while its stage works on is that of the moment at which it was made."""

from functools import cache

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulated_book import config, opening, ticks
from windvane.agents.factory import RULES
from windvane.streams.books import BookStage
from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.events import BookClosed, Event, Ticks, cut
from windvane.streams.snapshot import load_books
from windvane.streams.stored import Saving
from windvane.streams.topology import TOPOLOGY
from windvane.streams.worker import StageWorker

BOOKS = ("a", "b", "c", "d")
ROWS = 600
STAGES = {s.name: s if s.build_for is None else s.run_by(tuple(RULES)) for s in TOPOLOGY}


def of_book(event: Event, book: str) -> Event:
    return msgspec.structs.replace(event, book=book)


@cache
def inputs(stage: str) -> list[Event]:
    """What a stage of one book reads, in an order in which it can be stepped."""
    reads = {topic.name for topic in STAGES[stage].reads}
    seen: list[Event] = []
    runner = EmbeddedRunner(listener=lambda topic, event: seen.append(event) if topic.name in reads else None)
    runner.feed([opening(config())])
    rows = ticks(ROWS)
    for start in range(0, ROWS, 100):
        runner.feed([cut(rows, start, start + 100)])
    runner.feed([BookClosed(book="book", last=ROWS - 1)])
    return seen


@pytest.mark.parametrize("stage", STAGES)
class TestSnapshot:
    @settings(max_examples=15, deadline=None)
    @given(data=st.data())
    def test_it_is_the_one_that_is_made_at_once(self, stage: str, data: st.DataObject) -> None:
        logic = STAGES[stage].build(None)
        assert isinstance(logic, BookStage)
        done = dict.fromkeys(BOOKS, 0)
        events = inputs(stage)

        def some_steps() -> None:
            for _ in range(data.draw(st.integers(0, 5))):
                book = data.draw(st.sampled_from(BOOKS))
                upto = data.draw(st.integers(done[book], len(events)))
                logic.step([of_book(event, book) for event in events[done[book] : upto]])
                done[book] = upto

        some_steps()
        whole = logic.snapshot()
        snapshot = logic.begin_snapshot()
        for _ in range(3):
            some_steps()
            snapshot.copy_some(data.draw(st.integers(0, 2)))
        while not snapshot.copy_some(1):
            pass
        assert b"".join(snapshot.parts()) == whole
        load_books(whole)


def test_what_a_worker_stores_is_of_the_moment_at_which_it_was_begun() -> None:
    worker = StageWorker(STAGES["features"], "here")
    rows, outputs = ticks(40), {"features": 3}
    worker._inbox += [opening(config()), cut(rows, 0, 20)]
    worker.step()
    whole = worker.save(outputs)
    saving = worker.begin_save(outputs)
    assert isinstance(saving, Saving)
    outputs["features"] = 4
    worker._inbox.append(cut(rows, 20, 40))
    worker.step()
    assert saving.copy_some(1)
    assert b"".join(saving.parts()) == whole
    assert isinstance(rows, Ticks)
