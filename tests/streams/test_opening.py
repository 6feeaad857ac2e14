"""An opening that leaves out settings and digest means one book, in every release; a whole one is taken as it is."""

import json
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulated_book import config, opening, outputs, plain_run, same, ticks
from windvane.metamodel.base.config import Costs, TradingConfig, digest
from windvane.metamodel.base.limits import RiskLimits
from windvane.streams.codec import WireError, from_json, to_json
from windvane.streams.events import BookClosed, BookOpened, DeadLetter, Event, Features, Ticks
from windvane.streams.features_stage import FeaturesStage
from windvane.streams.topics import TOPICS

AGENTS = ["vol_trend", "buy_and_hold"]


def sent(book: str = "b", digest: str | None = None, **settings: Any) -> BookOpened:
    """The event of an opening as a feed writes it, `type` last, as its language may."""
    message = {"config": {"agents": AGENTS, **settings}, "book": book, "type": "BookOpened"}
    event = from_json(json.dumps(message | ({} if digest is None else {"digest": digest})).encode())
    assert isinstance(event, BookOpened)
    return event


def letters(events: list[Event]) -> list[str]:
    """Reasons of the dead letters among events."""
    return [event.reason for event in events if isinstance(event, DeadLetter)]


_SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "symbol": st.sampled_from(["BTCUSD", "ETHUSD"]),
        "closing": st.sampled_from(["lockstep", "timed"]),
        "interval": st.integers(0, 10**13),
        "stale_after": st.integers(1, 10**15),
        "capital": st.floats(1, 1e12),
        "seed": st.integers(0, 2**63 - 1),
        "costs": st.fixed_dictionaries(
            {}, optional={"fee_bp": st.floats(0, 1000), "delay": st.integers(0, 64)}
        ),
        "limits": st.fixed_dictionaries(
            {}, optional={"max_drawdown": st.floats(0.01, 1), "max_orders": st.none()}
        ),
    },
)


@given(_SETTINGS)
def test_what_is_given_holds_and_the_rest_has_its_default(settings: dict[str, Any]) -> None:
    stale_after = settings.get("stale_after", max(10 * settings.get("interval", 0), 60 * 10**9))
    parts = {"costs": Costs(**settings.get("costs", {})), "limits": RiskLimits(**settings.get("limits", {}))}
    whole = TradingConfig(agents=tuple(AGENTS), **(settings | parts | {"stale_after": stale_after}))
    event = sent(**settings)
    assert event == BookOpened(book="b", config=whole, digest=digest(whole))
    assert from_json(to_json(event)) == event, "what is passed on is whole"


def test_the_digest_of_an_opening_without_one_never_changes() -> None:
    """Releases that complete it otherwise would refuse books that go on."""
    plain = sent(closing="timed", interval=60 * 10**9, limits={"price_collar": 0.5})
    assert plain.digest == "e499725f4dc78d59846ae92714e70fff1137f82243debd589a428370f5340ca9"


@pytest.mark.parametrize("settings", [config(), TradingConfig(agents=("vol_trend",), interval=900 * 10**9)])
def test_an_opening_with_a_digest_is_not_completed(settings: TradingConfig) -> None:
    whole = opening(settings)
    assert from_json(to_json(whole)) == whole
    assert settings.stale_after == from_json(to_json(whole)).config.stale_after  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"agents": []}, "agents names no agent"),
        ({"fee": 1}, "unknown field `fee`"),
        ({"costs": {"fee_bp": "1"}}, r"Expected `float`, got `str` - at `\$.config.costs.fee_bp`"),
        ({"limits": {"max_drawdown": -1}}, "max_drawdown is -1.0: give a number above 0"),
        ({"interval": 2**62}, "interval is"),
        ({"interval": 2**60}, "stale_after is"),
        ({"closing": "live"}, "closing is 'live': give one of lockstep, timed"),
    ],
)
def test_settings_that_cannot_be_are_refused_in_a_sentence(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(WireError, match=why):
        sent(**settings)


def test_it_is_passed_on_whole_resumes_and_is_refused_with_what_differs() -> None:
    stage = FeaturesStage(None)
    first = sent(limits={"max_drawdown": 0.25}, interval=60 * 10**9)
    assert stage.step([first]) == [first]
    rows = Ticks(
        book="b",
        seq=np.arange(2),
        ts=np.arange(2) * 60 * 10**9 + 10**18,
        flags=np.zeros(2, np.int64),
        price=np.full(2, 100.0),
    )
    (features,) = stage.step([rows])
    assert isinstance(features, Features)
    again = FeaturesStage(stage.snapshot())
    for one in (stage, again):
        assert one.step([sent(interval=60 * 10**9, limits={"max_drawdown": 0.25})]) == []
        assert letters(one.step([sent(interval=60 * 10**9)])) == [
            "book b is open with other settings (limits.max_drawdown is 0.25 there and None here): open b-2 instead, "
            "or give the same"
        ]
        assert letters(one.step([sent(digest="0" * 64)])) == [
            "the digest of book b is not that of its settings: leave it out"
        ]
        assert one.progress("b").opened == first, "what was refused changes nothing"
        assert one.progress("b").next_seq == 2


def test_a_letter_names_some_of_many_differences() -> None:
    stage = FeaturesStage(None)
    stage.step([sent()])
    other = sent(symbol="ETHUSD", capital=5.0, lot=0.5, seed=3, on_halt="stop", costs={"fee_bp": 2.0})
    (why,) = letters(stage.step([other]))
    assert "symbol is 'BTCUSD' there and 'ETHUSD' here" in why
    assert "and 2 more differ" in why


def test_a_short_book_is_the_whole_one_on_every_topic() -> None:
    """Texts of digits are the same times, and the opening is the same book."""
    rows = ticks(700, book="b")
    short = json.loads(to_json(rows))
    short["ts"] = [str(ts) for ts in short["ts"]]
    timed = from_json(json.dumps(short).encode())
    assert isinstance(timed, Ticks)
    assert timed.ts.dtype == np.int64
    whole = TradingConfig(agents=tuple(AGENTS), interval=900 * 10**9, stale_after=9000 * 10**9)
    end = BookClosed(book="b", last=699)
    seen = plain_run([sent(interval=900 * 10**9), timed, end])
    wanted = plain_run([BookOpened(book="b", config=whole, digest=digest(whole)), rows, end])
    same(outputs(seen, *TOPICS), outputs(wanted, *TOPICS))


@given(st.integers(-(2**63), 2**63 - 1))
def test_a_text_of_digits_is_that_number(ts: int) -> None:
    raw = json.dumps({"type": "Ticks", "book": "b", "seq": [0], "ts": [str(ts)], "flags": [0], "price": [1]})
    event = from_json(raw.encode())
    assert isinstance(event, Ticks)
    assert int(event.ts[0]) == ts
    assert msgspec.json.decode(to_json(event))["ts"] == [ts]
