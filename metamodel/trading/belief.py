"""Which level of price the accounts believe: they are marked, filled and sized at it, so a wrong one costs all."""

from windvane.agents.kernel import inlined, kernel
from windvane.metamodel.base import rows
from windvane.metamodel.base.records import Records
from windvane.metamodel.learning import scores
from windvane.metamodel.trading import control
from windvane.metamodel.trading.columns import AT_HOME, AWAY, RESUMED, Clock
from windvane.metamodel.trading.risk import RESTRICTED_BY_LEVEL

NOT_BELIEVED, BELIEVED, REJOINED, CONFIRMED = range(4)
"""What becomes of a good row's mid: it is not believed; it is believed, on the level as before; it begins another
level, and no return lies between the two; so it does, on a level that was confirmed just now."""


@kernel
def lift(clock: Clock, standings: Records) -> None:
    """Resume after the price left its level: if it still is on the other one, the next good row is believed."""
    if clock.level == AWAY:
        clock.level = RESUMED
    clock.rows_away = 0
    for k in range(standings.shape[0]):
        control.release(standings[k])


@inlined
def at_home(clock: Clock, mid: float) -> bool:
    """Whether a good row's mid is on the level where the price has been, so that `believe` need not be called.

    Nearly every row's is. A call of a kernel that is not inlined costs a reference count for each array that it is
    handed.
    """
    known = clock.level == AT_HOME and clock.rows_away == 0
    return known and (clock.good_rows == 0 or rows.same_level(mid, clock.mid))


@kernel
def believe(
    clock: Clock, market: scores.Moments, standings: Records, resume_after: int, mid: float, flag: int
) -> int:
    """Decide whether a good row's mid is believed, and whether it begins another level; returns one of the four above.

    Another level than the last is believed if the reader of a file vouches for it, if it was confirmed since it was
    first seen, or before the warm-up is over, when there is no position yet. Otherwise the accounts are neither marked
    nor traded at it, and only reduce once the price is back, until the level is confirmed: by a person's resume, or as
    `Resumption` says. resume_after is its `level`.
    """
    if clock.rows_away > 0:
        clock.rows_away += 1
        if 0 < resume_after < clock.rows_away:
            lift(clock, standings)
    confirmed = clock.level == RESUMED
    vouched = flag & rows.LEVEL != 0
    same = clock.good_rows == 0 or rows.same_level(mid, clock.mid)
    if same or (vouched and clock.level == AT_HOME):
        clock.level = AT_HOME
        return BELIEVED
    if clock.warm_rows > 0 and not confirmed and not vouched:
        clock.level, clock.rows_away = AWAY, max(clock.rows_away, 1)
        for k in range(standings.shape[0]):
            control.restrict(standings[k], RESTRICTED_BY_LEVEL)
        return NOT_BELIEVED
    clock.level = AT_HOME
    scores.rejoin(market, mid)
    return CONFIRMED if confirmed else REJOINED
