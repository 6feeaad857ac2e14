"""When a round is closed without those who have not answered."""

from simulated_book import config
from windvane.streams.round_timer import RoundTimer

MS = 1_000_000
TIMER = {"book": config(closing="timed", round_timeout=500 * MS, quorum_lag=100)}


def test_a_round_is_due_after_the_timeout_and_once_the_proposals_are_read() -> None:
    timer = RoundTimer()
    assert timer.due({"book": (5, 8)}, TIMER, 0, end=70, read=60) == {}
    assert timer.due({"book": (5, 9)}, TIMER, 400 * MS, end=75, read=69) == {}
    assert timer.due({"book": (5, 9)}, TIMER, 500 * MS, end=80, read=69) == {}
    assert timer.due({"book": (5, 9)}, TIMER, 500 * MS, end=80, read=70) == {"book": 8}
    assert timer.due({"book": (8, 9)}, TIMER, 899 * MS, end=80, read=80) == {}
    assert timer.due({"book": (8, 9)}, TIMER, 900 * MS, end=80, read=80) == {"book": 9}


def test_a_round_that_is_far_behind_is_due_at_once_but_not_before_the_proposals_are_read() -> None:
    timer = RoundTimer()
    assert timer.due({"book": (0, 100)}, TIMER, 0, end=10, read=10) == {}
    assert timer.due({"book": (0, 130)}, TIMER, 0, end=20, read=10) == {}
    assert timer.due({"book": (0, 130)}, TIMER, 0, end=30, read=20) == {"book": 30}


def test_a_book_that_waited_once_is_timed_anew() -> None:
    timer = RoundTimer()
    assert timer.due({"book": (0, 1)}, TIMER, 0, end=0, read=0) == {}
    assert timer.due({}, TIMER, 400 * MS, end=0, read=0) == {}
    assert timer.due({"book": (1, 2)}, TIMER, 600 * MS, end=0, read=0) == {}
    assert timer.due({"book": (1, 2)}, TIMER, 1100 * MS, end=0, read=0) == {"book": 2}
