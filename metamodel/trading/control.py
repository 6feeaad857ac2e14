"""What changes whether an account may trade: a person's orders, a new day, and the end of a limit's halt."""

from windvane.agents.kernel import inlined, kernel
from windvane.metamodel.base import account
from windvane.metamodel.trading import risk

CONTROLS: tuple[str, ...] = ("halt", "reduce-only", "resume", "flatten", "roll-back", "swap")
"""What a person may order; the kernel reads the place in this list, from 1.

The last two are of what was learned, not of money or risk: back to before the last swap, and on with other weights."""

HALT, CUT, RESUME, FLATTEN = range(1, 5)

STATES: tuple[str, ...] = ("active", "reduce-only", "halted")
"""What an account may do, in words, by the number that `risk` and the column state of decisions have for it."""


@kernel
def order(st: risk.Standing, a: account.Accounts, terms: account.Terms, code: int) -> None:
    """What a person ordered holds for every account, so that the comparison stays fair."""
    for k in range(a.lots.shape[0]):
        if code == CUT:
            cut(st, k, risk.CUT_BY_PERSON)
        elif code == RESUME:
            st.cut[k] = 0
            if st.state[k] != risk.ACTIVE:
                resume(st, k, a.equity[k] - terms.capital)
        elif code in (HALT, FLATTEN):
            st.halts[k] += 1 if st.state[k] != risk.HALTED else 0
            st.state[k], st.halted_by[k] = risk.HALTED, risk.BY_PERSON
            st.flatten[k] = 1 if code == FLATTEN else st.flatten[k]


@inlined
def cut(st: risk.Standing, k: int, why: int) -> None:
    """Let account k only reduce; what a person said is not replaced by what may lift by itself."""
    if why == risk.CUT_BY_PERSON or st.cut[k] == 0:
        st.cut[k] = why
    if st.state[k] != risk.HALTED:
        st.state[k] = risk.REDUCE_ONLY


@inlined
def uncut(st: risk.Standing, k: int) -> None:
    """Lift what a level of price has cut."""
    if st.cut[k] == risk.CUT_BY_LEVEL:
        st.cut[k] = 0
        if st.state[k] == risk.REDUCE_ONLY:
            st.state[k] = risk.ACTIVE


@kernel
def resume(st: risk.Standing, k: int, pnl: float) -> None:
    st.state[k] = risk.REDUCE_ONLY if st.cut[k] else risk.ACTIVE
    st.halted_by[k], st.flatten[k] = 0, 0
    st.peak[k] = pnl
    st.day_start[k] = pnl


@kernel
def new_day(st: risk.Standing, a: account.Accounts, terms: account.Terms, next_day: bool) -> None:
    for k in range(a.lots.shape[0]):
        st.day_turnover[k] = 0.0
        st.day_start[k] = a.equity[k] - terms.capital
        if next_day and st.halted_by[k] == risk.BY_LIMIT:
            resume(st, k, st.day_start[k])
