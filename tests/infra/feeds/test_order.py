"""Trades in order and once, holes known: by laws, and without a clock."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from windvane.infra.feeds.feed import Counts, Gap, Note, Quote, Trade
from windvane.infra.feeds.outbox import merged
from windvane.infra.feeds.sequence import AGREE, MOST_HOLE, WINDOW, Overlap, Sequencer


def trade(number: int, ts: int | None = None) -> Trade:
    return Trade(number, number * 1_000 if ts is None else ts, 1.0, 1.0, True)


def ids(out: list[Trade | Gap]) -> list[int]:
    return [item.id for item in out if isinstance(item, Trade)]


arrivals = st.lists(st.integers(0, 30), max_size=120)


@given(arrivals, st.sets(st.integers(0, 30)))
def test_whatever_arrives_each_id_is_delivered_once_or_in_a_gap(numbers: list[int], listed: set[int]) -> None:
    """The last trade ends every hole; REST lists some of the missing ones."""
    sequencer = Sequencer(Counts(), last=-1)
    out: list[Trade | Gap] = []
    for number in [*numbers, 31]:
        out += sequencer.push(trade(number), 0.0)
    while (hole := sequencer.hole(WINDOW)) is not None:
        first, last = hole
        assert first <= last
        for number in range(first, last + 1):
            if number in listed:
                out += sequencer.push(trade(number), WINDOW)
        if sequencer.last is not None and sequencer.last < last:
            out += sequencer.skip("not listed")
    accounted: list[int] = []
    for item in out:
        accounted += range(item.first, item.last + 1) if isinstance(item, Gap) else [item.id]
    assert accounted == list(range(32))
    assert set(ids(out)) >= set(numbers)
    assert not {n for item in out if isinstance(item, Gap) for n in range(item.first, item.last + 1)} & listed


def test_a_missing_trade_has_a_moment_to_come_by_itself() -> None:
    counts = Counts()
    sequencer = Sequencer(counts)
    assert ids(sequencer.push(trade(5), 0.0)) == [5]
    assert sequencer.push(trade(7), 1.0) == []
    assert sequencer.hole(1.0 + WINDOW - 0.01) is None
    assert sequencer.hole(1.0 + WINDOW) == (6, 6)
    assert ids(sequencer.push(trade(6), 1.1)) == [6, 7]
    assert sequencer.hole(9.0) is None
    assert (counts.trades, counts.reordered, counts.duplicates) == (3, 1, 0)
    sequencer.push(trade(6), 2.0)
    assert counts.duplicates == 1


def test_one_absurd_id_silences_nothing_and_a_new_numbering_is_believed() -> None:
    sequencer = Sequencer(Counts())
    sequencer.push(trade(5), 0.0)
    assert sequencer.push(trade(5 + 10 * MOST_HOLE), 0.0) == []
    assert ids(sequencer.push(trade(6), 0.0)) == [6]
    far = 6 + 10 * MOST_HOLE
    out = [item for k in range(AGREE) for item in sequencer.push(trade(far + k), 0.0)]
    assert out[0] == Gap(7, far - 1, 6_000, far * 1_000, out[0].reason)  # type: ignore[union-attr]
    assert ids(out) == [far, far + 1, far + 2]
    restarted = [item for k in range(AGREE) for item in sequencer.push(trade(1 + k), 0.0)]
    assert (restarted[0].first, ids(restarted)) == (0, [1, 2, 3])  # type: ignore[union-attr]


@given(st.lists(st.integers(1, 50), max_size=80), st.integers(0, 60), st.integers(0, 60))
def test_a_break_is_joined_or_told(before: list[int], listed_from: int, listed_to: int) -> None:
    """Ids that are not dense: what is listed after a break reaches back to what was seen, or there is a gap."""
    order = Overlap(Counts())
    first = [item for n in before for item in order.push(trade(n), n)]
    seen = ids(first)
    late = [item.first for item in first if isinstance(item, Gap)]
    assert not set(late) & set(seen), "a repetition is no gap"
    assert set(late) | set(seen) == set(before)
    assert seen == sorted(set(seen))
    last = order.last
    order.interrupt()
    assert order.broken == (last is not None)
    held = order.push(trade(100), 100)
    assert (held == []) == order.broken
    out = [*held, *order.fill([(trade(n), n) for n in range(listed_from, listed_to)], "too short")]
    delivered = ids(out)
    assert delivered == sorted(set(delivered))
    assert delivered[-1] == 100
    if last is not None:
        assert any(isinstance(item, Gap) for item in out) == (
            not set(range(listed_from, listed_to)) & set(before)
        )
        assert set(delivered) >= set(range(max(last + 1, listed_from), listed_to))


items = st.lists(
    st.one_of(
        st.builds(lambda ts: Trade(0, ts, 1.0, 1.0, True), st.integers(0, 9)),
        st.builds(lambda ts: Quote(ts, 1.0, 2.0, 1.0, 1.0), st.integers(0, 9)),
        st.builds(lambda ts: Note("connected", ts, ""), st.integers(0, 9)),
    ),
    max_size=40,
)


@given(items)
def test_two_sockets_are_merged_by_time_and_each_keeps_its_order(
    given_items: list[Trade | Quote | Note],
) -> None:
    out = merged(list(given_items))
    assert [i for i in out if not isinstance(i, Quote)] == [
        i for i in given_items if not isinstance(i, Quote)
    ]
    assert [i for i in out if isinstance(i, Quote)] == [i for i in given_items if isinstance(i, Quote)]
    quotes = [i.ts for i in given_items if isinstance(i, Quote)]
    raised = [max(quotes[: k + 1]) for k in range(len(quotes))]
    highest = -1
    for k, item in enumerate(out):
        if isinstance(item, Trade) and len(quotes) < len(given_items):
            highest = max(highest, item.ts)
            assert sum(isinstance(i, Quote) for i in out[:k]) == sum(ts < highest for ts in raised)
