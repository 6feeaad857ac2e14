"""The colours of the report page and its charts, for light and for dark screens."""

INK, MUTED, RULE = "#1d2733", "#66727f", "#e4e8ec"
ENSEMBLE, EQUAL, HOLD, LOSS = "#0b5cad", "#d9731a", "#8b97a5", "#b3383f"
CYCLE = (
    "#cc6677",
    "#332288",
    "#ddcc77",
    "#117733",
    "#88ccee",
    "#882255",
    "#44aa99",
    "#999933",
    "#aa4499",
)
"""The colours of agents and members, in their order; after the last one the first comes again.

They are Paul Tol's muted scheme, whose colours people with any colour vision can tell apart.
"""

DARK = {
    INK: "#e6ebf0",
    MUTED: "#96a3b0",
    RULE: "#2b3440",
    ENSEMBLE: "#5aa9f2",
    EQUAL: "#f0a057",
    HOLD: "#7f8b98",
    LOSS: "#ea7a80",
    "#332288": "#5a4ab0",
    "#882255": "#9a3462",
}
"""For each colour of a light screen the one that replaces it on a dark screen; the others stay."""


def colour(account: str, agents: tuple[str, ...]) -> str:
    """Return the colour (#rrggbb) of an account, which is the same in every chart.

    agents: the names of all agents, whose order decides their colours.
    """
    known = {"ensemble": ENSEMBLE, "equal_weights": EQUAL, "buy_and_hold": HOLD}
    if account in known:
        return known[account]
    name = account.removeprefix("agent:")
    return CYCLE[agents.index(name) % len(CYCLE)] if name in agents else MUTED


def soft(code: str, opacity: float) -> str:
    """Return the colour `code` (#rrggbb) with an opacity from 0 to 1, as #rrggbbaa."""
    return f"{code}{round(opacity * 255):02x}"
