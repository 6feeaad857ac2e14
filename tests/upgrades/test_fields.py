"""A field that a version adds: old states get what it was before it existed, newer ones are refused in a sentence."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from release_books import Pipeline
from releases import of_pipeline
from test_going_on import assert_as_the_release, make, stages

from simulated_book import config, opening, ticks
from windvane.metamodel.base.upgrading import (
    Saved,
    Upcast,
    UpgradeError,
    as_new,
    check_fields,
    upcast,
    version_of,
)
from windvane.streams.codec import pack, unpack
from windvane.streams.ensemble_book import EnsembleBook
from windvane.streams.ensemble_stage import EnsembleStage
from windvane.streams.events import BookOpened, cut
from windvane.streams.features_stage import FeaturesStage
from windvane.streams.proposals_stage import ProposalsStage
from windvane.streams.snapshot import load_books
from windvane.streams.stage import StateError
from windvane.streams.stored import from_bytes

RING = np.full(4, 7.0)


class Remembering(EnsembleBook):
    """A book of a version to come, which knows two things more."""

    def __init__(self, opened: BookOpened) -> None:
        super().__init__(opened)
        self.ring, self.numbers = RING.copy(), [self.controls.applied]

    def save(self) -> dict[str, Any]:
        return {**super().save(), "ring": self.ring, "numbers": self.numbers}

    def load(self, saved: dict[str, Any]) -> None:
        super().load(saved)
        self.ring, self.numbers = saved["ring"], saved["numbers"]


def upcast_numbers(saved: Saved, fresh: Saved) -> Saved:
    """What follows from what was stored."""
    return saved | {"numbers": [saved["control"]]}


class NewerStage(EnsembleStage):
    """Two versions further: one field as in a new book, one that follows from another."""

    upcasts = (*EnsembleStage.upcasts, as_new("ring"), upcast_numbers)

    def new_book(self, opened: BookOpened) -> EnsembleBook:
        return Remembering(opened)


class Forgetful(NewerStage):
    """The same by somebody who forgot the upcasts."""

    upcasts = EnsembleStage.upcasts


def state_of(raw: bytes) -> bytes:
    return from_bytes(raw).state


class TestAddedField:
    def test_the_next_version_gives_the_orders_of_the_release(self) -> None:
        release = of_pipeline()
        pipeline = Pipeline(release.log(), make, release.states, stages(ensemble=NewerStage))
        pipeline.send(iter(release.coming))
        for _ in range(4):
            pipeline.pump()
        assert_as_the_release(release, pipeline.log)

    def test_an_old_state_gets_what_the_field_was(self) -> None:
        stage = NewerStage(state_of(of_pipeline().states["ensemble"]))
        steady, clock = stage._books["steady"], stage._books["clock"]
        assert isinstance(steady, Remembering)
        assert isinstance(clock, Remembering)
        assert (steady.numbers, clock.numbers) == ([3], [0])
        assert steady.ring.tobytes() == RING.tobytes()
        books = load_books(stage.snapshot())
        assert books.version == version_of(EnsembleStage.upcasts) + 2
        assert NewerStage(stage.snapshot()).snapshot() == stage.snapshot()

    def test_a_newer_state_is_refused_with_the_version_that_reads_it(self) -> None:
        newer = NewerStage(state_of(of_pipeline().states["ensemble"])).snapshot()
        known = version_of(EnsembleStage.upcasts)
        told = rf"^the stored state of book steady is of version {known + 2}, written by windvane "
        with pytest.raises(StateError, match=told):
            EnsembleStage(newer)
        with pytest.raises(StateError, match=rf"reads up to version {known}: run windvane \S+ or newer$"):
            EnsembleStage(newer)

    def test_a_forgotten_upcast_is_a_sentence_and_no_key_error(self) -> None:
        with pytest.raises(StateError, match=r"of book steady, written by windvane 0\.1\.0, lacks ring: "):
            Forgetful(state_of(of_pipeline().states["ensemble"]))

    def test_an_array_of_another_shape_never_reaches_a_kernel(self) -> None:
        class Longer(FeaturesStage):
            def new_book(self, opened: BookOpened) -> Any:
                book = super().new_book(opened)
                longer = {**book.save(), "e": np.zeros(60)}
                book.save = lambda: longer  # type: ignore[method-assign]
                book.load = lambda saved: pytest.fail("it was restored")  # type: ignore[method-assign]
                return book

        with pytest.raises(StateError, match=r"has e as float64\(49,\), not float64\(60,\)"):
            Longer(state_of(of_pipeline().states["features"]))

    def test_a_setting_that_is_not_known_is_refused(self) -> None:
        names = unpack(state_of(of_pipeline().states["proposals"]))
        names["0|opened"]["config"]["ahead"] = 5
        with pytest.raises(
            StateError, match=r"cannot be read \(.*`ahead`.*\): run windvane 0\.1\.0 or newer"
        ):
            ProposalsStage(pack(names))

    def test_a_source_that_a_version_adds_is_read_from_its_start(self) -> None:
        stage = next(s for s in stages() if s.name == "proposals")
        wider = stage._replace(reads=(*stage.reads, stages()[0].reads[0]))
        assert make(wider, of_pipeline().states["proposals"]).positions["ticks"] == 0


class Wider(FeaturesStage):
    """Books that remember a field more, which no row changes."""

    upcasts = (*FeaturesStage.upcasts, as_new("guard"))

    def new_book(self, opened: BookOpened) -> Any:
        return _guarded(super().new_book(opened), np.arange(3.0))


def _guarded(book: Any, guard: np.ndarray) -> Any:
    save = book.save
    book.save = lambda: {**save(), "guard": guard}
    return book


class TestLaws:
    @settings(max_examples=25, deadline=None)
    @given(rows=st.integers(0, 150), cuts=st.lists(st.integers(1, 149), max_size=4, unique=True))
    def test_an_old_state_becomes_what_the_new_version_had_stored(self, rows: int, cuts: list[int]) -> None:
        old, new = FeaturesStage(None), Wider(None)
        edges = [0, *sorted(c for c in cuts if c < rows), rows]
        for stage in (old, new):
            stage.step([opening(config())])
            for start, stop in pairwise(edges):
                stage.step([cut(ticks(150), start, stop)] if stop > start else [])
        assert Wider(old.snapshot()).snapshot() == new.snapshot()

    names = st.text(
        st.characters(exclude_characters="|$", exclude_categories=("Cs",)), min_size=1, max_size=8
    )
    arrays = st.tuples(
        st.sampled_from(["<f8", "<i8", "|u1", "<f4"]), st.lists(st.integers(0, 3), min_size=1, max_size=3)
    ).map(lambda kind: np.arange(int(np.prod(kind[1]))).reshape(kind[1]).astype(kind[0]))
    plain = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**53), 2**53),
        st.text(st.characters(exclude_categories=("Cs",))),
    )
    states = st.dictionaries(names, st.one_of(arrays, plain, st.lists(plain, max_size=3)), max_size=6)

    @settings(max_examples=100, deadline=None)
    @given(state=states)
    def test_a_state_comes_back_as_it_was_stored(self, state: dict[str, Any]) -> None:
        found = unpack(pack(state))
        assert list(found) == list(state)
        for name, value in state.items():
            if isinstance(value, np.ndarray):
                assert (found[name].dtype, found[name].shape) == (value.dtype, value.shape)
                assert found[name].tobytes() == value.tobytes()
            else:
                assert found[name] == value

    @settings(max_examples=100, deadline=None)
    @given(fields=st.lists(st.sampled_from("abcdef"), unique=True, max_size=6), at=st.integers(1, 7))
    def test_upcasts_from_any_version_give_the_newest(self, fields: list[str], at: int) -> None:
        """One field a version: a state of version k has the first k - 1 of them."""
        upcasts: list[Upcast] = [as_new(name) for name in fields]
        fresh = {name: ord(name) for name in fields}
        at = min(at, len(fields) + 1)
        saved = {"kept": 1, **dict.fromkeys(fields[: at - 1], 0)}
        now = upcast(saved, fresh, upcasts, version=at, what="it", writer="0")
        assert now == {**fresh, **saved}
        assert saved == {"kept": 1, **dict.fromkeys(fields[: at - 1], 0)}  # pure
        check_fields(now, fresh, "it", "0")
        for wrong in (0, len(fields) + 2):
            with pytest.raises(UpgradeError, match="run windvane 0 or newer"):
                upcast(saved, fresh, upcasts, version=wrong, what="it", writer="0")
