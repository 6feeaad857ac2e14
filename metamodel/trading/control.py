"""What changes whether an account may trade: a person's control, a new day, and the end of a limit's halt."""

from windvane.agents.kernel import inlined, kernel
from windvane.metamodel.base.account import Terms
from windvane.metamodel.base.records import Records
from windvane.metamodel.trading import risk
from windvane.metamodel.trading.risk import Standing

CONTROLS: tuple[str, ...] = (
    "halt",
    "reduce-only",
    "resume",
    "flatten",
    "roll-back",
    "swap",
    "wake",
    "retire",
)
"""The actions of a control. A kernel reads the action's place in this tuple, from 1; 0 is no control.

The last four concern neither money nor risk. Two are about what was learned: they go back to what was known before the
last swap, and go on with other weights. Two are about an agent's seat: it takes part from now on, or no longer. The
stage carries them out before the kernel runs, which ignores them.
"""

OF_SEATS: tuple[str, ...] = ("wake", "retire")
"""The actions that name an agent."""

HALT, RESTRICT, RESUME, FLATTEN = range(1, 5)
"""The codes of the actions that the kernel carries out."""

STATES: tuple[str, ...] = ("active", "reduce-only", "halted")
"""What an account may do, in words, by the number that `risk` and the column state of decisions have for it."""


@kernel
def apply(standings: Records, accounts: Records, terms: Terms, code: int) -> None:
    """Carry out a person's control for every account (K,), so that the comparison with the baselines stays fair."""
    for k in range(accounts.shape[0]):
        st, a = standings[k], accounts[k]
        if code == RESTRICT:
            restrict(st, risk.RESTRICTED_BY_PERSON)
        elif code == RESUME:
            st.restricted = 0
            if st.state != risk.ACTIVE:
                resume(st, a.equity - terms.capital)
        elif code in (HALT, FLATTEN):
            st.halts += 1 if st.state != risk.HALTED else 0
            st.state, st.halted_by = risk.HALTED, risk.BY_PERSON
            st.flattening = risk.BY_PERSON if code == FLATTEN else st.flattening


@inlined
def restrict(st: Standing, why: int) -> None:
    """Let an account only reduce; a restriction by level, which may lift by itself, never replaces a person's."""
    if why == risk.RESTRICTED_BY_PERSON or st.restricted == 0:
        st.restricted = why
    if st.state != risk.HALTED:
        st.state = risk.REDUCE_ONLY


@inlined
def release(st: Standing) -> None:
    """Lift the restriction of an account where a level of price was its reason."""
    if st.restricted == risk.RESTRICTED_BY_LEVEL:
        st.restricted = 0
        if st.state == risk.REDUCE_ONLY:
            st.state = risk.ACTIVE


@kernel
def resume(st: Standing, pnl: float) -> None:
    """End the halt of an account; its losses count from its pnl now (currency), and a restriction stays."""
    st.state = risk.REDUCE_ONLY if st.restricted else risk.ACTIVE
    st.halted_by, st.flattening = 0, 0
    st.peak = pnl
    st.day_start = pnl


@kernel
def new_day(standings: Records, accounts: Records, terms: Terms, resumes: bool) -> None:
    """Begin a UTC day: turnover and daily loss count from 0, and where halts by a limit end with the day, they do."""
    for k in range(accounts.shape[0]):
        st = standings[k]
        st.day_turnover = 0.0
        st.day_start = accounts[k].equity - terms.capital
        if resumes and st.halted_by == risk.BY_LIMIT:
            resume(st, st.day_start)
