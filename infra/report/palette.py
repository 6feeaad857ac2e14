"""The colours of the report page and its charts, for light and for dark screens."""

INK, MUTED, RULE = "#1d2733", "#66727f", "#e4e8ec"
ENSEMBLE, EQUAL, HOLD, LOSS = "#0b5cad", "#d9731a", "#8b97a5", "#b3383f"
CYCLE = (
    "#2f8f6b",
    "#a8518f",
    "#7a66b8",
    "#b8962e",
    "#3a9cb5",
    "#a9603a",
    "#6d8f2c",
    "#c05a6b",
    "#5570b5",
    "#8a7a68",
)
"""The colours of agents and members, in their order; after the last one the first comes again."""

DARK = {
    INK: "#e6ebf0",
    MUTED: "#96a3b0",
    RULE: "#2b3440",
    ENSEMBLE: "#5aa9f2",
    EQUAL: "#f0a057",
    HOLD: "#7f8b98",
    LOSS: "#ea7a80",
    "#2f8f6b": "#58bd97",
    "#a8518f": "#d184ba",
    "#7a66b8": "#a796e0",
    "#b8962e": "#dcbd60",
    "#3a9cb5": "#6cc4da",
    "#a9603a": "#d3906c",
    "#6d8f2c": "#9dc05a",
    "#c05a6b": "#e58a99",
    "#5570b5": "#8ba3e3",
    "#8a7a68": "#b5a694",
}
"""For each colour of a light screen the one that replaces it on a dark screen."""


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
