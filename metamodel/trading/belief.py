"""Which level of price the accounts believe: they are marked, filled and sized at it, so a wrong one costs all."""

from windvane.agents.kernel import inlined, kernel
from windvane.metamodel.base import rows
from windvane.metamodel.learning import scores
from windvane.metamodel.trading import control, risk
from windvane.metamodel.trading.columns import AT_HOME, AWAY, RESUMED, Clock

NOT_BELIEVED, BELIEVED, REJOINED, CONFIRMED = range(4)
"""What is said of a good row: its mid is not believed; it is, on the level as before; it begins another level, and no
return lies between; so it does, and that level was confirmed just now."""


@kernel
def lift(clock: Clock, st: risk.Standing) -> None:
    """Resume after the price went to another level: where it still is there, the next good row is believed."""
    if clock.away[0] == AWAY:
        clock.away[0] = RESUMED
    clock.away[1] = 0
    for k in range(st.state.shape[0]):
        control.uncut(st, k)


@inlined
def at_home(clock: Clock, mid: float) -> bool:
    """Whether a good row's mid is on the level where it has been, as nearly always, so that `believe` need not ask.

    A round is handed the whole learner, and every call of a kernel costs a reference count for each array in it.
    """
    known = clock.away[0] == AT_HOME and clock.away[1] == 0
    return known and (clock.n[4] == 0 or rows.same_level(mid, clock.f[0]))


@kernel
def believe(
    clock: Clock, market: scores.Moments, st: risk.Standing, resume_after: int, mid: float, flag: int
) -> int:
    """Whether a good row's mid is believed, and whether it begins another level, or one that was confirmed just now.

    Another level than the last is believed where the reader of a file vouches for it, where it was confirmed since it
    was seen, and before the warm-up is over, when nothing is held. Else accounts are neither marked nor traded at it,
    and only reduce once the price is back, until it is confirmed: by a person's resume or as `Resumption` says.
    """
    if clock.away[1] > 0:
        clock.away[1] += 1
        if 0 < resume_after < clock.away[1]:
            lift(clock, st)
    confirmed = clock.away[0] == RESUMED
    vouched = flag & rows.LEVEL != 0
    same = clock.n[4] == 0 or rows.same_level(mid, clock.f[0])
    if same or (vouched and clock.away[0] == AT_HOME):
        clock.away[0] = AT_HOME
        return BELIEVED
    if clock.n[7] > 0 and not confirmed and not vouched:
        clock.away[0], clock.away[1] = AWAY, max(clock.away[1], 1)
        for k in range(st.state.shape[0]):
            control.cut(st, k, risk.CUT_BY_LEVEL)
        return NOT_BELIEVED
    clock.away[0] = AT_HOME
    scores.rejoin(market, mid)
    return CONFIRMED if confirmed else REJOINED
