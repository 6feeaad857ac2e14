"""A worker given what is no event, or what no arithmetic survives: a dead letter each, and its state can be stored."""

import msgspec
import numpy as np
import pytest

from simulated_book import config, opening, plain_run, ticks
from windvane.metamodel.base.rows import BAD
from windvane.streams.codec import WireError, from_json, to_json
from windvane.streams.events import BookClosed, DeadLetter, Event, Features, LearnerUpdate
from windvane.streams.stage import Stage
from windvane.streams.topics import FEATURES, LEARNER, TICKS, Topic
from windvane.streams.topology import TOPOLOGY
from windvane.streams.worker import Checks, StageWorker


def named(name: str) -> Stage:
    return next(stage for stage in TOPOLOGY if stage.name == name)


def event(
    raw: bytes, topic: Topic = TICKS, stage: str = "features", checks: Checks | None = None
) -> Event | None:
    """The dead letter that comes of a record."""
    worker = StageWorker(named(stage), "here", checks=checks)
    worker.receive(topic, 5, raw)
    made = worker.step()
    worker.save({})
    return from_json(made[0].raw) if made else None


class TestStageWorker:
    """StageWorker and records that are no events."""

    @pytest.mark.parametrize(
        ("raw", "reason"),
        [
            (b"", "not an event"),
            (b"\xff", "not an event"),
            (b'{"type":"Ticks","x":' + b"[" * 200_000, "not an event"),
            (b"x" * 600_001, "the record has 600001 bytes"),
            (to_json(BookClosed(book="b" * 201, last=0)), "this one 201"),
            (b'{"type":"BookClosed","book":"b","last":%d}' % 10**30, "cannot be written again"),
        ],
    )
    def test_garbage_is_a_letter_with_its_place(self, raw: bytes, reason: str) -> None:
        letter = event(raw, checks=Checks(partition=3))
        assert isinstance(letter, DeadLetter)
        assert letter.source == "ticks, partition 3, offset 5"
        assert reason in letter.reason
        assert len(letter.payload) <= 1000

    def test_a_book_that_asks_for_fills_of_a_venue_is_not_opened(self) -> None:
        raw = to_json(opening(config())).replace(b'"fills":"paper"', b'"fills":"venue"')
        letter = event(raw)
        assert isinstance(letter, DeadLetter)
        assert "fills is 'venue': no stage reads a venue's fills yet, so give paper" in letter.reason

    @pytest.mark.parametrize("mid", [0.0, -1.0, 5e-324, 1e300])
    def test_features_whose_mid_is_no_price_reach_nothing_that_divides_by_it(self, mid: float) -> None:
        seen = plain_run([opening(config()), ticks(3)])
        rows = next(e for _, e in seen if isinstance(e, Features))
        mids = rows.mid.copy()
        mids[1] = mid
        for stage in ("proposals", "feedback", "ensemble"):
            letter = event(to_json(msgspec.structs.replace(rows, mid=mids)), FEATURES, stage)
            assert isinstance(letter, DeadLetter)
            assert letter.reason == "a good row has a mid that is no price"

    @pytest.mark.parametrize("price", [5e-324, 1e-300, 1e300, 1e308])
    def test_a_price_that_is_none_is_one_bad_row(self, price: float) -> None:
        rows = ticks(900)
        rows.price[700] = price
        bare = msgspec.structs.replace(rows, bid=None, ask=None, bid_size=None, ask_size=None)
        seen = plain_run([opening(config()), bare], wire=True)
        flags = np.concatenate([e.flags for _, e in seen if isinstance(e, Features)])
        assert np.flatnonzero(flags & BAD).tolist() == [700]

    def test_numbers_that_64_bits_do_not_hold_are_not_read(self) -> None:
        for field in ("version", "trained_at", "effective_from", "samples"):
            update = LearnerUpdate(
                book="book",
                version=1,
                trained_at=1,
                effective_from=1,
                outcome="kept",
                samples=1,
                agents=(),
                scores=(),
            )
            said = msgspec.to_builtins(update) | {field: 10**25}
            with pytest.raises(WireError, match="cannot be written again"):
                from_json(msgspec.json.encode(said))
        assert isinstance(from_json(to_json(update)), LearnerUpdate)
        assert LEARNER.carries == (LearnerUpdate,)
