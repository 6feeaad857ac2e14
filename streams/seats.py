"""Seats: agents that a book reserves columns for and that are not there yet, until a person wakes them.

An agent in a seat takes no part. Behind the row of the control that wakes it the book waits for its answers as for any
other agent's, and `seat_rows` rows later it is weighed. From the row of the control that retires it on, the seat is
empty again, so a book that waits for an agent in vain is freed by retiring it.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from windvane.agents.base import Ints
from windvane.metamodel.base.config import TradingConfig
from windvane.metamodel.trading.control import OF_SEATS
from windvane.streams.events import Control

_EMPTY, _ALWAYS = -1, -2


class Seats:
    """The seats of one book that has some. saved: what `save` returned, None of a new book."""

    def __init__(self, config: TradingConfig, saved: Mapping[str, Any] | None = None) -> None:
        self._agents = config.agents
        self._seats = frozenset(config.seats)
        self._rows = config.seat_rows
        new = np.array([_EMPTY if agent in config.seats else _ALWAYS for agent in config.agents], np.int64)
        self._since: Ints = new if saved is None else saved["seats"]  # (N,) row from which an agent is there

    def save(self) -> dict[str, Any]:
        """Its state as an array."""
        return {"seats": self._since}

    def refusal(self, control: Control) -> str:
        """Why a control of a seat changes nothing, "" where it may."""
        if control.agent in self._seats:
            return ""
        return f"agent {control.agent!r} has no seat: give one of {', '.join(sorted(self._seats))}"

    def obey(self, control: Control, row: int) -> None:
        """Wake or retire an agent from a row on; who is awake already stays so, and other controls do nothing."""
        self._since = self._after(control, row)

    def there(self, control: Control | None, row: int) -> Ints:
        """Which agents a row waits for, (N,) 1 or 0, where `control` is applied at it."""
        since = self._since if control is None else self._after(control, row)
        return ((since == _ALWAYS) | ((since >= 0) & (since <= row))).astype(np.int64)

    def _after(self, control: Control, row: int) -> Ints:
        since = self._since.copy()
        if control.action in OF_SEATS and control.agent in self._seats:
            place = self._agents.index(control.agent)
            if control.action == "retire":
                since[place] = _EMPTY
            elif since[place] == _EMPTY:
                since[place] = row + 1  # so that a control that retires it can come before its first row
        return since

    def weighed(self, row: int) -> Ints:
        """Which agents are weighed at a row, (N,) 1 or 0."""
        since = self._since
        return ((since == _ALWAYS) | ((since >= 0) & (since + self._rows <= row))).astype(np.int64)

    def limit(self, control: Control | None, row: int, stop: int) -> int:
        """Seq below which the step that begins at `row` must end, at most `stop`: where an agent begins."""
        since = self._since if control is None else self._after(control, row)
        begins = np.concatenate([since, since + self._rows])[np.tile(since >= 0, 2)]
        begins = begins[begins > row]
        return min(stop, int(begins.min())) if len(begins) else stop
