"""What a person sees of a session: a line that stays on a terminal, or a line a minute where there is none."""

from __future__ import annotations

import sys
import time
from typing import Any, TextIO

_EVERY = 60.0
_REFRESH = 0.5


class Teller:
    """Writes to stderr, since results are on stdout."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._tty = self._stream.isatty()
        self._next = 0.0
        self._width = 0

    def say(self, text: str) -> None:
        """Write a line that stays."""
        over = "\r" if self._width else ""
        self._stream.write(f"{over}{text.ljust(self._width)}\n")
        self._width = 0
        self._stream.flush()

    def due(self) -> bool:
        """Whether it is time for `show`: twice a second on a terminal, once a minute elsewhere."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + (_REFRESH if self._tty else _EVERY)
        return True

    def show(self, state: dict[str, Any]) -> None:
        """Write the state of a session as one line, over the one before where this is a terminal."""
        text = line(state)
        if not self._tty:
            self.say(text)
            return
        self._stream.write(f"\r{text.ljust(self._width)}")
        self._width = len(text)
        self._stream.flush()


def line(state: dict[str, Any]) -> str:
    """The state of a session, of `Session.state`, in one line."""
    order = state["last_order"]
    parts = [
        f"{state['symbol']} {state['price']:,.2f}" if state["price"] else f"{state['symbol']} no price yet",
        "paper",
        state["state"] + (", warming up" if state["warming_up"] else ""),
        f"position {state['qty']:+.6g} ({state['position']:+.1%})",
        f"equity {state['equity']:,.2f} ({state['pnl']:+,.2f}{', no funding' if state['perpetual'] else ''})",
        f"data {state['age_seconds']:.1f} s old",
        f"row {state['rows']:,}",
        f"last order {order['side']} {order['qty']:g} at {order['price']:,.2f}" if order else "no order yet",
    ]
    return " | ".join(parts)
