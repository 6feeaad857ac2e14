"""A whole file is put in order: what came when, what stands in it twice, whose rows they are, and when a bar ends."""

import random

import pytest
from market_tables import (
    BARS,
    CLOSES,
    ENDS,
    MARKET,
    PRINTS,
    S,
    are_the_prints,
    day,
    is_the_market,
    lines,
    read,
)

from windvane.infra.files.errors import InputError
from windvane.infra.files.market_data import load_market
from windvane.infra.files.reading import reading_of

HEAD = "ts,open,high,low,close,volume"
IDS = "id,price,qty,quote_qty,time,is_buyer_maker"


def bar(b):
    return f"{b.t},{b.open},{b.high},{b.low},{b.close},{b.volume}"


def trade(p):
    return f"{p.id},{p.price},{p.size},1,{p.t},{not p.bought}"


def blocks(rows, size, order, step=1):
    cut = [rows[at : at + size][::step] for at in range(0, len(rows), size)]
    return [row for k in order for row in cut[k]]


ORDERS = {
    "oldest first": blocks(PRINTS, 75, [0, 1, 2, 3]),
    "newest first": PRINTS[::-1],
    "blocks in the wrong order": blocks(PRINTS, 75, [2, 0, 3, 1]),
    "pages from the newest to the oldest": blocks(PRINTS, 75, [3, 2, 1, 0]),
    "pages, each newest first": blocks(PRINTS, 75, [0, 1, 2, 3], step=-1),
    "shuffled": random.Random(4).sample(PRINTS, len(PRINTS)),
}


class TestTrades:
    @pytest.mark.parametrize("order", ORDERS)
    @pytest.mark.parametrize("ids", [True, False])
    def test_they_come_in_the_order_of_time(self, tmp_path, order, ids):
        if ids:
            are_the_prints(read(tmp_path, "x.csv", lines(IDS, ORDERS[order], trade)))
        else:
            text = lines("ts,price,qty", ORDERS[order], lambda p: f"{p.t},{p.price},{p.size}")
            are_the_prints(read(tmp_path, "x.csv", text), sides=False)

    @pytest.mark.parametrize(
        "order", ["newest first", "blocks in the wrong order", "pages, each newest first"]
    )
    def test_ids_order_those_of_one_second(self, tmp_path, order):
        text = lines(IDS, ORDERS[order], lambda p: trade(p._replace(t=p.t // 10_000 * 10)))
        assert read(tmp_path, "x.csv", text).columns.price.tolist() == [p.price for p in PRINTS]

    def test_ids_order_those_of_one_second_that_stand_newest_first(self, tmp_path):
        rows = sorted((p._replace(t=p.t // 10_000 * 10) for p in PRINTS), key=lambda p: (p.t, -p.id))
        assert read(tmp_path, "x.csv", lines(IDS, rows, trade)).columns.price.tolist() == [
            p.price for p in PRINTS
        ]

    def test_newest_first_turns_those_of_one_second_round(self, tmp_path):
        text = lines("unix,price,amount", PRINTS[::-1], lambda p: f"{p.t // 9000 * 9},{p.price},{p.size}")
        assert read(tmp_path, "x.csv", text).columns.price.tolist() == [p.price for p in PRINTS]

    def test_what_two_downloads_have_in_common_counts_once(self, tmp_path):
        found = read(tmp_path, "x.csv", lines(IDS, [*PRINTS[:200], *PRINTS[150:]], trade))
        assert found.columns.price.tolist() == [p.price for p in PRINTS]
        assert found.rejected.counts() == {"duplicate": 50}

    def test_ids_that_are_not_those_of_trades_take_no_row_away(self, tmp_path):
        text = lines(IDS, PRINTS, lambda p: trade(p._replace(id=p.id // 7)))
        are_the_prints(read(tmp_path, "x.csv", text))

    def test_a_clock_that_steps_back_a_little_while_ids_rise_is_left_to_the_cleaner(self, tmp_path):
        jitter = [p._replace(t=p.t - 2000 * (k % 50 == 49)) for k, p in enumerate(PRINTS)]
        found = read(tmp_path, "x.csv", lines(IDS, jitter, trade))
        assert found.columns.price.tolist() == [p.price for p in PRINTS]

    def test_one_time_out_of_line_takes_its_row_alone(self, tmp_path):
        wrong = [p._replace(t=p.t - 400 * 86_400_000 * (k == 100)) for k, p in enumerate(PRINTS)]
        (tmp_path / "x.csv").write_text(lines("ts,price,qty", wrong, lambda p: f"{p.t},{p.price},{p.size}"))
        market = load_market(tmp_path / "x.csv")
        assert market.rejected == {"time went back": 1}
        assert market.letters == ((101, "time went back"),)
        assert market.columns.price.tolist() == [p.price for k, p in enumerate(PRINTS) if k != 100]


class TestBars:
    @pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]])
    @pytest.mark.parametrize("step", [1, -1])
    def test_they_come_in_the_order_of_time(self, tmp_path, order, step):
        is_the_market(read(tmp_path, "x.csv", lines(HEAD, blocks(MARKET, 30, order, step), bar)))

    def test_of_two_of_one_time_the_later_counts(self, tmp_path):
        half = MARKET[60]._replace(close=MARKET[60].low, volume=0.1)
        found = read(tmp_path, "x.csv", lines(HEAD, [*MARKET[:60], half, *MARKET[60:]], bar))
        is_the_market(found)
        assert list(found.rejected) == [(61, "duplicate")]
        assert "1 bars have a later one of the same time, which counts" in found.notes

    def test_newest_first_the_later_stands_above(self, tmp_path):
        half = MARKET[60]._replace(close=MARKET[60].low, volume=0.1)
        found = read(tmp_path, "x.csv", lines(HEAD, [*MARKET[:60], half, *MARKET[60:]][::-1], bar))
        is_the_market(found)
        assert found.rejected.row.tolist() == [BARS - 60 + 1]


ENDINGS = {
    "closing times": ("close_time", lambda b: b.t + 60),
    "the last millisecond": ("close_time", lambda b: (b.t + 60) * 1000 - 1),
    "the last second": ("close_time", lambda b: b.t + 59),
    "the last second under a name that says nothing": ("time", lambda b: b.t + 59),
    "the last moment under a name that says nothing": ("date", lambda b: day(b, "%Y-%m-%d %H:%M:59.999")),
    "a name of its own": ("candle_end_ts", lambda b: b.t + 60),
    "camels": ("barCloseTime", lambda b: b.t + 60),
    "starts": ("bar_start", lambda b: b.t),
}


class TestStamps:
    @pytest.mark.parametrize("kind", ENDINGS)
    def test_the_end_of_a_bar_is_its_time(self, tmp_path, kind):
        name, stamp = ENDINGS[kind]
        text = lines(f"{name},close,volume", MARKET, lambda b: f"{stamp(b)},{b.close},{b.volume}")
        if kind == "starts":
            text = text.replace("bar_start", "bar_start_time")
        is_the_market(read(tmp_path, "x.csv", text))

    @pytest.mark.parametrize("last", [60, 59, 59.999, 59.999999])
    @pytest.mark.parametrize("sparse", [False, True])
    def test_both_ends(self, tmp_path, last, sparse):
        market = [b for k, b in enumerate(MARKET) if not sparse or k % 7 in (0, 3)]
        text = lines("open_time,close_time,close", market, lambda b: f"{b.t},{b.t + last:.6f},{b.close}")
        found = read(tmp_path, "x.csv", text)
        assert found.interval == 60 * S
        assert found.columns.ts.tolist() == [(b.t + 60) * S for b in market]

    @pytest.mark.parametrize(("name", "stamp", "shift"), [("time", "close", 60), ("close_time", "open", 0)])
    def test_a_person_says_what_it_marks(self, tmp_path, name, stamp, shift):
        text = lines(f"{name},close,volume", MARKET, lambda b: f"{b.t + shift},{b.close},{b.volume}")
        is_the_market(read(tmp_path, "x.csv", text, stamp=stamp))


def both(name):
    """Two instruments in one table, told apart by a column; the second is worth a tenth."""
    rows = [(b, factor, word) for b in MARKET for factor, word in ((0.1, "BTC-EUR"), (1, "BTC-USD"))]
    head = f"ts,close,volume,{name}" if name else None
    return lines(head, rows, lambda row: f"{row[0].t},{row[0].close * row[1]},{row[0].volume},{row[2]}")


class TestSymbols:
    @pytest.mark.parametrize("name", ["symbol", "tic", "Ticker", "pair", "instrument", "product_id", "Coin"])
    def test_the_one_that_is_wanted_is_taken(self, tmp_path, name):
        found = read(tmp_path, "x.csv", both(name), symbol="btc/usd")
        is_the_market(found)
        assert f"rows of BTC-USD alone are read; {BARS} rows are of others" in found.notes
        found = read(tmp_path, "x.csv", both(name), symbol="BTCEUR")
        assert found.columns.price.tolist() == pytest.approx([close / 10 for close in CLOSES])
        assert found.numbers.tolist() == list(range(1, 2 * BARS, 2))

    def test_none_that_is_wanted(self, tmp_path):
        with pytest.raises(
            InputError, match=r"holds 2 symbols in column tic \(BTC-EUR, BTC-USD\), and none is ETH"
        ):
            read(tmp_path, "x.csv", both("tic"), symbol="ETHUSD")

    @pytest.mark.parametrize("headed", [True, False])
    def test_a_column_that_tells_bars_of_one_time_apart(self, tmp_path, headed):
        text = both("word") if headed else both(None)
        options = {} if headed else {"columns": "ts,close,volume"}
        with pytest.raises(InputError, match=r"holds several bars of one time") as error:
            read(tmp_path, "x.csv", text, **options)
        assert "--symbol NAME --symbol-column" in str(error.value)
        options["symbol_column"] = "word" if headed else "4"
        is_the_market(read(tmp_path, "x.csv", text, symbol="BTCUSD", **options))
        with pytest.raises(InputError, match=r"none is ETHUSD"):
            read(tmp_path, "x.csv", text, symbol="ETHUSD", **options)

    def test_a_table_of_one_is_read_whatever_it_is_called(self, tmp_path):
        text = lines("ts,close,volume,symbol", MARKET, lambda b: f"{b.t},{b.close},{b.volume},XBTUSD")
        is_the_market(read(tmp_path, "x.csv", text))

    def test_trades_of_two_are_told_apart_as_well(self, tmp_path):
        text = lines("ts,symbol,price,qty", PRINTS, lambda p: f"{p.t},{'AB'[p.bought]},{p.price},{p.size}")
        with pytest.raises(InputError, match=r"holds 2 symbols in column symbol"):
            read(tmp_path, "x.csv", text)


class TestSymbolsUnderAnotherName:
    def test_trades_whose_prices_leap_between_words(self, tmp_path):
        text = lines(
            "ts,crypto,price,qty",
            PRINTS,
            lambda p: f"{p.t},{'AB'[p.bought]},{p.price * (1 if p.bought else 0.92)},{p.size}",
        )
        with pytest.raises(InputError, match=r"leap between the words of column crypto \(a, b\)"):
            read(tmp_path, "x.csv", text)
        found = read(tmp_path, "x.csv", text, symbol="B", symbol_column="crypto")
        assert found.columns.price.tolist() == [p.price for p in PRINTS if p.bought]

    def test_words_that_say_something_else(self, tmp_path):
        tick = ["PlusTick", "MinusTick", "ZeroPlusTick"]
        text = lines("ts,tick,price,qty", PRINTS, lambda p: f"{p.t},{tick[p.id % 3]},{p.price},{p.size}")
        are_the_prints(read(tmp_path, "x.csv", text), sides=False)


SIDES = {
    "words": (("buy", "sell"), True),
    "letters": (("B", "S"), True),
    "signs": (("1", "-1"), True),
    "0 for buy": (("0", "1"), False),
    "1 for buy": (("1", "0"), False),
    "1 and 2": (("1", "2"), False),
    "sides of a book": (("bid", "ask"), False),
    "other words": (("up", "down"), False),
}


class TestSides:
    @pytest.mark.parametrize("kind", SIDES)
    def test_what_is_in_doubt_is_left_out_until_a_person_says_it(self, tmp_path, kind):
        (buy, sell), sure = SIDES[kind]
        text = lines(
            "ts,price,qty,side", PRINTS, lambda p: f"{p.t},{p.price},{p.size},{buy if p.bought else sell}"
        )
        found = read(tmp_path, "x.csv", text)
        are_the_prints(found, sides=sure)
        if not sure:
            assert any("say it with --side-codes" in note for note in found.notes)
        are_the_prints(read(tmp_path, "x.csv", text, side_codes=f"buy={buy},sell={sell}"))
        are_the_prints(read(tmp_path, "x.csv", text, side_codes=f"{buy},{sell}"))

    @pytest.mark.parametrize("word", ["unknown", "", "n/a", "cross"])
    def test_a_trade_of_no_side_counts_half(self, tmp_path, word):
        text = lines(
            "ts,price,qty,side",
            PRINTS,
            lambda p: f"{p.t},{p.price},{p.size},{word if p.id % 5 == 0 else 'buy' if p.bought else 'sell'}",
        )
        found = read(tmp_path, "x.csv", text)
        wanted = [p.size * (0.5 if p.id % 5 == 0 else p.bought) for p in PRINTS]
        assert found.columns.buy_size.tolist() == wanted
        assert len(found.rejected) == 0
        assert any("neither buy nor sell" in note for note in found.notes)

    @pytest.mark.parametrize("name", ["type", "direction"])
    def test_a_side_under_another_name(self, tmp_path, name):
        text = lines(
            f"ts,price,qty,{name}",
            PRINTS,
            lambda p: f"{p.t},{p.price},{p.size},{'buy' if p.bought else 'sell'}",
        )
        are_the_prints(read(tmp_path, "x.csv", text))

    def test_the_sign_of_the_size(self, tmp_path):
        text = lines(
            "ts,price,amount", PRINTS, lambda p: f"{p.t},{p.price},{p.size if p.bought else -p.size}"
        )
        found = read(tmp_path, "x.csv", text)
        are_the_prints(found)
        assert "negative sizes are sales: buy_size read from the sign of the size" in found.notes


class TestMostRejected:
    def test_a_run_of_a_file_that_is_mostly_wrong_is_refused(self, tmp_path):
        (tmp_path / "x.csv").write_text(
            lines(HEAD, MARKET, lambda b: bar(b if b.t % 600 else b._replace(close=b.high * 1.01)))
        )
        with pytest.raises(
            InputError, match=r"12 of 120 rows \(10%\) would be rejected, 12 of them because close is"
        ):
            load_market(tmp_path / "x.csv")
        market = load_market(tmp_path / "x.csv", reading=reading_of(max_rejected="10"))
        assert len(market.columns) == BARS - 12
        assert load_market(tmp_path / "x.csv", reading=reading_of(max_rejected="100 %")).rows == BARS - 12

    def test_empty_bars_and_rows_that_stand_twice_do_not_count(self, tmp_path):
        later = [f"{b.t + 60 * BARS},nan,nan,nan,nan,nan\n" for b in MARKET]
        (tmp_path / "x.csv").write_text(lines(HEAD, [*MARKET, *MARKET], bar) + "".join(later))
        market = load_market(tmp_path / "x.csv")
        assert market.columns.ts.tolist() == ENDS
        assert market.rejected == {"duplicate": BARS, "empty: the row holds no price": BARS}

    def test_a_second_header_is_one_row(self, tmp_path):
        text = lines(HEAD, MARKET[:60], bar) + lines(HEAD, MARKET[60:], bar)
        is_the_market(read(tmp_path, "x.csv", text))
