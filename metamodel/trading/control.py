"""What changes whether an account may trade: a person's control, a new day, and the end of a limit's halt."""

from windvane.agents.kernel import inlined, kernel
from windvane.metamodel.base.account import Accounts, Terms
from windvane.metamodel.trading import risk
from windvane.metamodel.trading.risk import Standing

CONTROLS: tuple[str, ...] = ("halt", "reduce-only", "resume", "flatten", "roll-back", "swap")
"""The actions of a control. A kernel reads the action's place in this tuple, from 1; 0 is no control.

The last two concern what was learned, not money or risk: they go back to what was known before the last swap, and go on
with other weights. The stage carries them out before the kernel runs, which ignores them.
"""

HALT, RESTRICT, RESUME, FLATTEN = range(1, 5)
"""The codes of the actions that the kernel carries out."""

STATES: tuple[str, ...] = ("active", "reduce-only", "halted")
"""What an account may do, in words, by the number that `risk` and the column state of decisions have for it."""


@kernel
def apply(st: Standing, a: Accounts, terms: Terms, code: int) -> None:
    """Carry out a person's control for every account, so that the comparison with the baselines stays fair."""
    for k in range(a.lots.shape[0]):
        if code == RESTRICT:
            restrict(st, k, risk.RESTRICTED_BY_PERSON)
        elif code == RESUME:
            st.restricted[k] = 0
            if st.state[k] != risk.ACTIVE:
                resume(st, k, a.equity[k] - terms.capital)
        elif code in (HALT, FLATTEN):
            st.halts[k] += 1 if st.state[k] != risk.HALTED else 0
            st.state[k], st.halted_by[k] = risk.HALTED, risk.BY_PERSON
            st.flatten[k] = 1 if code == FLATTEN else st.flatten[k]


@inlined
def restrict(st: Standing, k: int, why: int) -> None:
    """Let account k only reduce; a restriction by level, which may lift by itself, never replaces a person's."""
    if why == risk.RESTRICTED_BY_PERSON or st.restricted[k] == 0:
        st.restricted[k] = why
    if st.state[k] != risk.HALTED:
        st.state[k] = risk.REDUCE_ONLY


@inlined
def release(st: Standing, k: int) -> None:
    """Lift the restriction of account k where a level of price was its reason."""
    if st.restricted[k] == risk.RESTRICTED_BY_LEVEL:
        st.restricted[k] = 0
        if st.state[k] == risk.REDUCE_ONLY:
            st.state[k] = risk.ACTIVE


@kernel
def resume(st: Standing, k: int, pnl: float) -> None:
    """End the halt of account k; its losses count from its pnl now (currency), and a restriction stays."""
    st.state[k] = risk.REDUCE_ONLY if st.restricted[k] else risk.ACTIVE
    st.halted_by[k], st.flatten[k] = 0, 0
    st.peak[k] = pnl
    st.day_start[k] = pnl


@kernel
def new_day(st: Standing, a: Accounts, terms: Terms, resumes: bool) -> None:
    """Begin a UTC day: turnover and daily loss count from 0, and where halts by a limit end with the day, they do."""
    for k in range(a.lots.shape[0]):
        st.day_turnover[k] = 0.0
        st.day_start[k] = a.equity[k] - terms.capital
        if resumes and st.halted_by[k] == risk.BY_LIMIT:
            resume(st, k, st.day_start[k])
