"""How long a silence may be and how often is dialled: with seconds that are counted, not waited for."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from windvane.infra.feeds.dialling import BUDGET, HEALTHY, MOST, PERIOD, Dialling
from windvane.infra.feeds.watchdog import LEAST, Watchdog
from windvane.infra.feeds.watchdog import MOST as LONGEST


def dialled(seconds: float, lasts: float, sockets: int, seed: int) -> list[float]:
    """Times at which a server that ends every connection after `lasts` seconds is dialled."""
    dialling = Dialling(Random(seed))
    ends: list[float] = [0.0] * sockets
    times: list[float] = []
    while True:
        k = ends.index(min(ends))
        now = ends[k]
        while wait := dialling.wait(now):
            now += wait
        if now > seconds:
            return times
        dialling.attempt(now)
        times.append(now)
        dialling.ended(now + lasts, lasts)
        ends[k] = now + lasts


@given(st.sampled_from([0.0, 0.1, 1.0, 4.9, 5.1, 31.0]), st.integers(1, 2), st.integers(0, 99))
def test_a_door_that_is_slammed_is_dialled_once_in_five_seconds_at_most(
    lasts: float, sockets: int, seed: int
) -> None:
    times = dialled(600.0, lasts, sockets, seed)
    for first in range(len(times) - BUDGET):
        assert times[first + BUDGET] - times[first] >= PERIOD - 1e-6
    assert len(times) <= 600.0 / 5.0 + BUDGET
    assert times[-1] > 600.0 - 2 * MOST - lasts, "it is tried for ever"


def test_a_connection_that_held_is_dialled_again_at_once_and_a_ban_is_waited_for() -> None:
    dialling = Dialling(Random(1))
    dialling.attempt(0.0)
    dialling.ended(HEALTHY, HEALTHY)
    assert dialling.wait(HEALTHY) == 0.0
    dialling.ended(HEALTHY, 1.0)
    assert 0.0 < dialling.wait(HEALTHY) <= 1.0
    dialling.forbid(HEALTHY, 120.0)
    assert dialling.wait(HEALTHY + 1.0) == 119.0


def test_silence_is_ten_times_the_usual_distance_and_at_least_five_seconds() -> None:
    dog = Watchdog(0.0)
    assert dog.limit == LEAST
    for k in range(1, 2000):
        dog.frame(k * 0.01)
    assert (dog.limit, dog.silent(19.99 + 4.99)) == (LEAST, 0.0)
    assert dog.silent(19.99 + 5.01) >= LEAST
    slow = Watchdog(0.0)
    for k in range(1, 2000):
        slow.frame(k * 2.0)
    assert abs(slow.limit - 20.0) < 0.1


def test_a_quiet_market_is_dialled_in_vain_a_few_times_and_then_no_more() -> None:
    dog = Watchdog(0.0)
    now, told = 0.0, []
    while now < 1000.0:
        now += 0.25
        if silence := dog.silent(now):
            told.append(silence)
            dog.start(now)
    assert told[:4] == [5.0, 10.0, 20.0, 40.0]
    assert max(told) == LONGEST
