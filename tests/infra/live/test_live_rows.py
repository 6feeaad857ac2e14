"""Rows of a live book: the backtest's, whatever the chunks; each trade in a row or a gap; silence, breaks, restarts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from live_items import MARKET, MS, T0, Played, S, chunked, items, quote, table, trade, trades

from windvane.infra.exchange.capture import QUOTE, Capture, load
from windvane.infra.feeds.feed import Gap, Item, Note, Quote, Trade
from windvane.infra.files.errors import InputError
from windvane.infra.files.market_data import load_market
from windvane.infra.files.reading import Reading
from windvane.infra.live.quotes import PATIENCE
from windvane.infra.live.rows import BEAT, LAG, REPAIR, LiveRows, Mark
from windvane.metamodel.base.rows import GAP, HEARTBEAT
from windvane.metamodel.data.sampler import format_interval

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
CAPTURES = ("trades_binance_spot_btcusdt_20201101_2h.parquet", "lob_binance_usdm_btcusdt_20240808.parquet")
UNQUOTED = MARKET.__class__(**{**{f: getattr(MARKET, f) for f in MARKET.__struct_fields__}, "quotes": False})

cuts = st.lists(st.integers(0, 200), max_size=12)
intervals = st.sampled_from((None, 2 * S, 10 * S))


def played(whole: list[Item], cuts: list[int], interval: int | None, market=MARKET) -> Played:
    out = Played(LiveRows(market, interval, "main"))
    for piece in chunked(whole, cuts):
        out.put(piece)
    return out


def read_back(folder: Path, whole: list[Trade], bars: str | None) -> list[tuple]:
    """Rows that the backtest's reader makes of the same trades."""
    frame = pd.DataFrame(
        {
            "ts": [t.ts // MS for t in whole],
            "agg_id": [t.id for t in whole],
            "price": [t.price for t in whole],
            "qty": [t.qty for t in whole],
            "side": ["B" if t.buyer else "S" for t in whole],
        }
    )
    file = folder / "trades.parquet"
    frame.to_parquet(file)
    market = load_market(file, bars=bars, reading=Reading(max_rejected=100.0))
    ticks = market.ticks("main", 0, len(market.columns))
    ticks.flags[:] = 0  # a reader vouches for levels, and nobody vouches for a feed
    return table([ticks])


class TestTheSameRowsAsABacktest:
    @settings(max_examples=40, deadline=None)
    @given(trades(least=5), cuts, intervals)
    def test_of_the_same_trades(self, tmp_path_factory, whole: list[Trade], cuts, interval) -> None:
        """Not of a list that counts down for the most part, which a reader turns round."""
        steps = np.diff([t.ts for t in whole])
        assume(2 * (steps < 0).sum() < (steps > 0).sum())
        bars = format_interval(interval) if interval else None
        try:
            wanted = read_back(tmp_path_factory.mktemp("trades"), whole, bars)
        except InputError:  # no row is left, or trades are rarer than bars
            assume(False)
        assert played(whole, cuts, interval, UNQUOTED).table() == wanted

    @settings(max_examples=150, deadline=None)
    @given(items(), cuts, intervals)
    def test_whatever_the_chunks(self, whole: list[Item], cuts, interval) -> None:
        once, parts = played(whole, [], interval), played(whole, cuts, interval)
        assert parts.table() == once.table()
        assert sorted(map(str, parts.rows.letters)) == sorted(map(str, once.rows.letters))

    @pytest.mark.parametrize("name", CAPTURES)
    @pytest.mark.parametrize("bars", ["1s", "1m", None])
    def test_of_a_real_capture(self, tmp_path: Path, name: str, bars: str | None) -> None:
        if not (DATA / name).is_file():
            pytest.skip("the captures are not there: they lie in shared/data beside the repository")
        interval = {"1s": S, "1m": 60 * S, None: None}[bars]
        capture = load([DATA / name])
        whole = of_capture(capture)
        only = [item for item in whole if isinstance(item, Trade)]
        out = played(whole, list(range(0, len(whole), 777)), interval)
        got = out.table()
        wanted = read_back(tmp_path, only, bars)
        assert [tuple(v for v in row if v[0] in TRADED) for row in map(_named, got)] == [
            tuple(v for v in row if v[0] in TRADED) for row in map(_named, wanted)
        ]
        assert out.rows.late == 0
        if interval:  # each trade up to the mark is in a row
            mark = out.rows.mark.trade
            rejected = {int(letter.source.split()[1]) for letter in out.rows.letters}
            inside = sum(t.qty for t in only if t.id <= mark and t.id not in rejected)
            assert sum(dict(row[2:])["size"] for row in got) == pytest.approx(inside, rel=1e-9)


TRADED = ("ts", "flags", "price", "size", "buy_size")


def _named(row: tuple) -> tuple:
    return (("ts", row[0]), ("flags", row[1]), *row[2:])


def of_capture(capture: Capture) -> list[Item]:
    """Items in the order in which the exchange sent them; before the first quote nothing is known of any."""
    out: list[Item] = []
    for kind, row in zip(capture.kind.tolist(), capture.row.tolist(), strict=True):
        if kind == QUOTE:
            bid, bid_size, ask, ask_size = capture.quotes.values[row].tolist()
            out.append(Quote(int(capture.quotes.ms[row]) * MS, bid, ask, bid_size, ask_size, 1))
        else:
            t = capture.trades
            buyer = bool(t.buyer[row])
            ts = int(t.ms[row]) * MS
            out.append(Trade(int(t.id[row]), ts, float(t.price[row]), float(t.qty[row]), buyer, 1))
    return out


class TestEveryTradeIsInARowOrAGap:
    @settings(max_examples=100, deadline=None)
    @given(items(), cuts, st.sampled_from((2 * S, 10 * S)))
    def test_sizes_add_up_to_the_trades_below_the_mark(self, whole, cuts, interval) -> None:
        out = played(whole, cuts, interval)
        rejected = {
            int(found.source.split()[1]) for found in out.rows.letters if found.source.startswith("trade")
        }
        mark = out.rows.mark.trade
        inside = [t for t in whole if isinstance(t, Trade) and t.id not in rejected and mark and t.id <= mark]
        assert sum(dict(row[2:])["size"] for row in out.table()) == sum(t.qty for t in inside)
        seen = [
            item.id if isinstance(item, Trade) else item.first
            for item in whole
            if not isinstance(item, Quote)
        ]
        assert seen == list(range(1_000, 1_000 + len(seen)))

    @settings(max_examples=100, deadline=None)
    @given(trades(odd=False, pauses=False), st.integers(0, 80), st.integers(0, 80), intervals)
    def test_a_book_that_was_killed_goes_on_from_its_mark(self, whole, kill, again, interval) -> None:
        """Rows that were sent, then those of a new process that asks for the trades after the mark."""
        first = Played(LiveRows(UNQUOTED, interval, "main"))
        mark, sent = Mark(), 0
        for piece in chunked(whole[: kill % (len(whole) + 1)], [again]):
            if first.put(piece):
                mark, sent = first.rows.mark, len(first.events)
        first.events = first.events[:sent]
        second = Played(LiveRows(UNQUOTED, interval, "main", mark))
        second.put([t for t in whole if mark.trade is None or t.id > mark.trade])
        got = [*first.events, *second.events]
        assert table(got) == played(whole, [], interval, UNQUOTED).table()
        seqs = np.concatenate([event.seq for event in got]) if got else np.empty(0)
        assert seqs.tolist() == list(range(len(seqs)))

    @settings(max_examples=60, deadline=None)
    @given(items(), cuts, st.integers(0, 12), intervals)
    def test_a_snapshot_goes_on_the_same(self, whole, cuts, where, interval) -> None:
        pieces = chunked([quote(T0), *whole], [1, *cuts])  # what waits for a first quote is in no snapshot
        once = Played(LiveRows(MARKET, interval, "main"))
        other = Played(LiveRows(MARKET, interval, "main"))
        for k, piece in enumerate(pieces):
            once.put(piece)
            other.put(piece)
            if k == where % len(pieces):
                fresh = LiveRows(MARKET, interval, "main")
                fresh.restore(other.rows.snapshot())
                other.rows = fresh
        assert other.table(heartbeats=True) == once.table(heartbeats=True)
        assert other.rows.mark == once.rows.mark
        assert other.rows.last_id == once.rows.last_id


class TestGaps:
    def flags(self, whole: list[Item], interval: int | None) -> list[int]:
        return [row[1] for row in played(whole, [], interval).table()]

    def test_the_bars_on_both_sides_are_flagged(self) -> None:
        q = quote(T0)
        whole = [q, trade(1, T0), trade(2, T0 + S), Gap(3, 4, T0, T0, "lost")]
        whole += [trade(5, T0 + 2 * S), trade(6, T0 + 3 * S), trade(7, T0 + 4 * S)]
        assert self.flags(whole, S) == [0, GAP, GAP, 0]

    def test_a_bar_with_the_gap_inside_is_flagged_once(self) -> None:
        whole = [quote(T0), trade(1, T0), Gap(2, 3, T0, T0, "lost"), trade(4, T0 + 1), trade(5, T0 + S)]
        assert self.flags([*whole, trade(6, T0 + 2 * S)], S) == [0, 0]  # the first row ends no hole
        late = [quote(T0), trade(0, T0 - S), *whole[1:], trade(6, T0 + 2 * S)]
        assert self.flags(late, S) == [0, GAP, 0]

    def test_of_ticks_the_trade_after_it_is_flagged(self) -> None:
        whole = [quote(T0), trade(1, T0), Gap(2, 3, T0, T0, "lost"), trade(4, T0 + 1), trade(5, T0 + 2)]
        assert self.flags(whole, None) == [0, GAP, 0]

    def test_a_hole_that_the_features_flag_is_left_to_them(self) -> None:
        whole = [quote(T0), trade(1, T0), Gap(2, 3, T0, T0, "lost"), trade(4, T0 + 61 * S)]
        assert self.flags(whole, None) == [0, 0]

    def test_an_exchange_that_numbers_anew_goes_on(self) -> None:
        whole = [quote(T0), trade(900, T0), Gap(0, 0, T0, T0, "ids went from 900 to 5"), trade(5, T0 + 1)]
        out = played([*whole, trade(6, T0 + 2)], [], None)
        assert len(out.table()) == 3
        assert out.rows.last_id == 6
        assert not out.rows.letters


class TestQuotes:
    def test_the_first_trades_wait_for_the_first_quote(self) -> None:
        out = played([trade(1, T0), trade(2, T0 + 1), quote(T0 + 2)], [1, 2], None)
        assert [dict(row[2:])["bid"] for row in out.table()] == [99.9, 99.9]

    def test_a_book_without_a_quote_for_long_has_none(self) -> None:
        out = Played(LiveRows(MARKET, None, "main"))
        out.put([trade(1, T0)])
        assert not out.table()
        out.events += out.rows.close_until(T0 + PATIENCE)
        out.put([quote(T0 + PATIENCE), trade(2, T0 + PATIENCE)])
        assert [name for name, _ in out.table()[1][2:]] == ["price", "size", "buy_size"]

    def test_a_trade_shows_it_too(self) -> None:
        out = played([trade(1, T0), trade(2, T0 + PATIENCE)], [1], None)
        assert len(out.table()) == 2

    def test_a_book_with_quotes_waits_for_as_long_as_it_takes(self) -> None:
        columns = ("size", "bid", "ask", "bid_size", "ask_size", "buy_size")
        out = Played(LiveRows(MARKET, None, "main", Mark(7, 0, T0, columns)))
        out.put([trade(1, T0), trade(2, T0 + 9 * PATIENCE)])
        assert not out.table()
        out.put([quote(T0 + 9 * PATIENCE)])
        assert len(out.table()) == 2

    @pytest.mark.parametrize(("bid", "ask"), [(101.0, 100.0), (0.0, 100.0), (99.0, float("nan"))])
    def test_a_quote_that_cannot_be_leaves_the_one_before_it_and_one_letter(self, bid, ask) -> None:
        bad = [quote(T0, bid, ask)] * 3
        out = played([quote(T0), *bad, trade(1, T0), quote(T0), *bad, trade(2, T0)], [], None)
        assert [dict(row[2:])["bid"] for row in out.table()] == [99.9, 99.9]
        assert len(out.rows.letters) == 2

    def test_a_trade_that_was_fetched_has_the_last_spread_around_its_price(self) -> None:
        fetched = Trade(2, T0, 110.0, 1.0, True)
        row = dict(played([quote(T0), trade(1, T0), fetched], [], None).table()[1][2:])
        assert row["bid"] == pytest.approx(109.89)
        assert row["ask"] == pytest.approx(110.11)


class TestSilence:
    def rows(self, interval: int | None = S) -> LiveRows:
        rows = LiveRows(MARKET, interval, "main")
        rows.put([quote(T0), trade(1, T0), trade(2, T0 + 100 * MS)])
        return rows

    def test_it_closes_a_bar_once_trades_on_their_way_have_come(self) -> None:
        rows = self.rows()
        assert not rows.close_until(T0 + S + LAG - 1)
        (bar,) = rows.close_until(T0 + S + LAG)
        assert (bar.ts.tolist(), bar.flags.tolist(), bar.size.tolist()) == ([T0 + S], [0], [2.0])
        assert rows.mark.trade == 2
        rows.put([trade(3, T0 + 900 * MS), trade(4, T0 + 2 * S)])
        (late,) = rows.close_until(T0 + 2 * S)
        assert (late.ts.tolist(), late.size.tolist(), rows.late) == ([T0 + 2 * S], [1.0], 1)

    def test_each_second_of_it_is_a_heartbeat(self) -> None:
        rows = self.rows()
        beats = []
        for step in range(0, 4_000, 100):
            beats += [t for t in rows.close_until(T0 + step * MS) if t.flags[0] & HEARTBEAT]
        assert [int(beat.ts[0]) - T0 for beat in beats] == [1_150 * MS, 2_150 * MS, 3_150 * MS]
        assert [(beat.price[0], beat.size[0], beat.bid[0]) for beat in beats] == [(100.0, 0.0, 99.9)] * 3

    def test_time_that_leaps_is_one_heartbeat(self) -> None:
        rows = self.rows()
        rows.close_until(T0)
        assert len([t for t in rows.close_until(T0 + 900 * S) if t.flags[0] & HEARTBEAT]) == 1

    def test_before_anything_came_it_is_told_too(self) -> None:
        rows = LiveRows(MARKET, S, "main")
        assert not rows.close_until(T0)
        (beat,) = rows.close_until(T0 + BEAT)
        assert (beat.flags.tolist(), beat.bid) == ([HEARTBEAT], None)

    def test_a_control_is_a_heartbeat_at_once(self) -> None:
        rows = self.rows()
        rows.put([trade(3, T0 + S + 1)])
        (bar,) = rows.close_until(T0 + S + 1)
        beat = rows.heartbeat(T0 + S + 1)
        assert (beat.flags.tolist(), beat.seq.tolist()) == ([HEARTBEAT], [bar.last + 1])
        assert beat.ts[0] >= bar.ts[0]

    def test_while_the_feed_dials_it_closes_nothing(self) -> None:
        rows = self.rows()
        rows.put([Note("dialling", 0, "", 1.0)])
        assert all(t.flags[0] & HEARTBEAT for t in rows.close_until(T0 + 60 * S))
        rows.put([Note("connected", 0, "")])
        assert all(t.flags[0] & HEARTBEAT for t in rows.close_until(T0 + 60 * S))
        missed = Trade(3, T0 + 200 * MS, 100.0, 1.0, True)
        rows.put([missed])
        bar, *_ = rows.close_until(T0 + 60 * S + 1)
        assert (bar.size.tolist(), rows.late) == ([3.0], 0)

    def test_a_market_that_stays_silent_after_a_break_closes_its_bar(self) -> None:
        rows = self.rows()
        rows.put([Note("dialling", 0, "", 1.0), Note("connected", 0, "")])
        rows.close_until(T0 + 60 * S)
        bar, *_ = rows.close_until(T0 + 60 * S + REPAIR)
        assert (bar.flags.tolist(), bar.size.tolist()) == ([0], [2.0])


def test_a_rejected_trade_leaves_a_letter() -> None:
    out = played([quote(T0), trade(1, T0), trade(2, T0, 900.0), trade(2, T0), trade(1, T0)], [], None)
    assert [(letter.source, letter.reason.split()[0]) for letter in out.rows.letters] == [
        ("trade 2", "bid"),
        ("trade 1", "duplicate"),
    ]
    assert len(out.table()) == 2


def test_thousands_of_rows_are_cut_into_records() -> None:
    out = played([quote(T0), *(trade(k, T0 + k) for k in range(600))], [], None)
    assert [len(event) for event in out.events] == [256, 256, 88]
