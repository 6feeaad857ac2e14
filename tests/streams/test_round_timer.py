"""When a round is closed without those who have not answered."""

from simulated_book import config
from windvane.streams.round_timer import RoundTimer
from windvane.streams.stage import OpenRounds

MS = 1_000_000
CONFIG = config(closing="timed", round_timeout=500 * MS, quorum_lag=100)


def watch(timer: RoundTimer, start: int, stop: int, now: int) -> bool:
    return timer.watch({"book": OpenRounds(start, stop, CONFIG)}, now)


class TestRoundTimer:
    """When a RoundTimer says that rounds are due."""

    def test_a_round_is_late_after_the_timeout_and_due_once_the_proposals_are_read(self) -> None:
        timer = RoundTimer()
        assert not watch(timer, 5, 8, 0)
        assert not watch(timer, 5, 9, 1 * MS)
        assert not watch(timer, 5, 9, 500 * MS - 1)
        assert timer.due(read=10**9) == {}
        assert watch(timer, 5, 9, 500 * MS)
        timer.ends_at(70)
        assert timer.due(read=69) == {}
        assert timer.due(read=70) == {"book": 8}, "row 8 was seen later"
        assert timer.due(read=70) == {}, "once"
        assert not watch(timer, 8, 9, 501 * MS - 1)
        assert watch(timer, 8, 9, 501 * MS)

    def test_a_round_that_is_far_behind_is_late_at_once(self) -> None:
        timer = RoundTimer()
        assert not watch(timer, 0, 100, 0), "row 0 may be 99 rows behind"
        assert watch(timer, 0, 101, 0), "but not 100"
        timer.ends_at(20)
        assert timer.due(read=19) == {}
        assert timer.due(read=20) == {"book": 1}

    def test_rows_that_come_while_the_proposals_are_read_put_nothing_off(self) -> None:
        timer = RoundTimer()
        assert not watch(timer, 0, 10, 0)
        assert watch(timer, 0, 10, 500 * MS)
        timer.ends_at(40)
        assert not watch(timer, 0, 300, 501 * MS), "its end is known"
        assert timer.due(read=39) == {}
        assert timer.due(read=41) == {"book": 10}
        assert watch(timer, 10, 300, 502 * MS), "the next is late by its own end"
        timer.ends_at(80)
        assert timer.due(read=79) == {}
        assert timer.due(read=80) == {"book": 200}

    def test_what_was_answered_while_the_proposals_were_read_closes_nothing_twice(self) -> None:
        timer = RoundTimer()
        assert not watch(timer, 0, 10, 0)
        assert watch(timer, 0, 10, 500 * MS)
        timer.ends_at(40)
        assert not watch(timer, 10, 11, 501 * MS)
        assert timer.due(read=40) == {}, "all ten are answered"

    def test_a_book_that_waited_once_is_timed_anew(self) -> None:
        timer = RoundTimer()
        assert not watch(timer, 0, 1, 0)
        assert not timer.watch({}, 400 * MS)
        assert not watch(timer, 1, 2, 600 * MS)
        assert not watch(timer, 1, 2, 1100 * MS - 1)
        assert watch(timer, 1, 2, 1100 * MS)

    def test_each_book_has_a_clock_and_an_end_of_its_own(self) -> None:
        timer = RoundTimer()
        slow = config(closing="timed", round_timeout=900 * MS, quorum_lag=100)
        rounds = {"book": OpenRounds(0, 1, CONFIG), "slow": OpenRounds(0, 1, slow)}
        assert not timer.watch(rounds, 0)
        assert timer.watch(rounds, 500 * MS)
        timer.ends_at(10)
        assert timer.watch(rounds, 900 * MS)
        timer.ends_at(20)
        assert timer.due(read=19) == {"book": 1}
        assert timer.due(read=20) == {"slow": 1}

    def test_an_end_that_took_a_while_is_only_of_rounds_that_were_late_when_it_was_asked_for(self) -> None:
        timer = RoundTimer()
        rounds = {"book": OpenRounds(0, 1, CONFIG)}
        assert not timer.watch(rounds, 0)
        assert timer.watch(rounds, 500 * MS)
        asked = timer.asking()
        assert asked == {"book": 1}
        rounds["later"] = OpenRounds(0, 200, CONFIG)
        assert timer.watch(rounds, 501 * MS)
        timer.ends_at(10, asked)
        assert timer.due(read=10) == {"book": 1}
        assert timer.asking() == {"later": 100}
        timer.ends_at(12, {"later": 99})
        assert timer.due(read=12) == {}, "the end was looked up for other rounds of it"
