"""A guest that misbehaves at given prices, in every way there is."""

from typing import Any

import numpy as np

from guests import Drift
from windvane.agents.base import Floats, Ints, Proposal
from windvane.agents.benching import MISSHAPEN, NO_NUMBER, OUT_OF_RANGE, RAISED

FAULTS = {
    "raises": RAISED,
    "exits": RAISED,
    "nan": NO_NUMBER,
    "inf": NO_NUMBER,
    "greedy": OUT_OF_RANGE,
    "sure": OUT_OF_RANGE,
    "odd": OUT_OF_RANGE,
    "short": MISSHAPEN,
    "text": MISSHAPEN,
    "none": MISSHAPEN,
}


class Moody(Drift):
    """Drift that counts its rows, and misbehaves at some prices, half of its state moved already."""

    def __init__(self, moods: dict[float, str]) -> None:
        super().__init__()
        self.moods, self.rows = moods, np.zeros(1)

    def propose(self, x: Floats, price: Floats, good: Ints) -> Proposal:
        out: Any = super().propose(x, price, good)
        for t in range(len(price)):
            mood = self.moods.get(float(price[t]))
            if mood == "raises":
                raise KeyError("no such price")
            if mood == "exits":
                raise SystemExit(3)
            if mood is not None:
                out = spoilt(out, t, mood)
                if mood in ("short", "text", "none"):
                    return out  # type: ignore[no-any-return]
        self.rows += len(price)
        return out  # type: ignore[no-any-return]

    def state(self) -> dict[str, Floats]:
        return super().state() | {"rows": self.rows.copy()}

    def restore(self, state: dict[str, Floats]) -> None:
        super().restore(state)
        self.rows = state["rows"].copy()


def spoilt(proposal: Proposal, t: int, mood: str) -> Any:
    field, value = {
        "nan": ("target", np.nan),
        "inf": ("confidence", np.inf),
        "greedy": ("target", 2.0),
        "sure": ("confidence", 1.5),
        "odd": ("action", 7),
    }.get(mood, ("", 0))
    if mood == "short":
        return Proposal(*(part[:-1] for part in proposal))
    if mood == "text":
        return proposal._replace(target=np.full(len(proposal.target), "up"))
    if mood == "none":
        return None
    getattr(proposal, field)[t] = value
    return proposal
