"""An agent whose code is not part of this package, under the id that a book knows it by.

What it is handed are copies, so it changes nothing that others read. What it returns is checked, and whatever it
raises becomes one sentence.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from windvane.agents.base import Agent, Floats, Ints, Proposal
from windvane.agents.errors import WindvaneError
from windvane.agents.naming import LONGEST_VERSION

T = TypeVar("T")
_NUMBERS = (np.dtype(np.float64), np.dtype(np.int64))


class GuestError(WindvaneError):
    """An agent that is not ours does not keep to what `Agent` says; the message names its id and what to mend."""


class GuestAgent(Agent):
    """Somebody else's agent, `agent`, called `name`: its id in a book.

    make: returns the agent, which has seen no row. Raises GuestError where that fails, or is no Agent.
    """

    def __init__(self, name: str, make: Callable[[], Any]) -> None:
        self.name = name
        agent = self._asked("be made", make)
        if not isinstance(agent, Agent):
            raise GuestError(f"agent {name} is {type(agent).__name__}: derive its class from windvane.Agent")
        self.agent = agent
        self.version, self.warmup = str(agent.version), int(agent.warmup)
        if not (self.version.isprintable() and len(self.version) <= LONGEST_VERSION):
            raise GuestError(
                f"agent {name} has version {self.version!r}: give at most {LONGEST_VERSION} letters that can be printed"
            )
        if self.warmup < 0:
            raise GuestError(f"agent {name} has warmup {self.warmup}: give a number of rows, 0 or more")

    def propose(self, x: Floats, price: Floats, good: Ints) -> Proposal:
        """As `Agent` says; raises GuestError where the answer is not in range, or not one number a row."""
        answer = self._asked("propose", lambda: self.agent.propose(x.copy(), price.copy(), good.copy()))
        try:
            target, action, confidence = (np.asarray(part) for part in answer)
        except (TypeError, ValueError) as error:
            raise GuestError(
                f"agent {self.name} answers with no Proposal: return windvane.Proposal"
            ) from error
        if not (target.shape == action.shape == confidence.shape == price.shape):
            raise GuestError(
                f"agent {self.name} answers {len(price)} rows with arrays of shapes {target.shape}, {action.shape} and "
                f"{confidence.shape}: return one number a row"
            )
        self._check("target", target, (target >= -1.0) & (target <= 1.0), "-1 to 1")
        self._check("action", action, (action == -1) | (action == 0) | (action == 1), "-1, 0 or 1")
        self._check("confidence", confidence, (confidence >= 0.0) & (confidence <= 1.0), "0 to 1")
        return Proposal(target.astype(np.float64), action.astype(np.int64), confidence.astype(np.float64))

    def _check(self, what: str, values: Any, fits: Any, valid: str) -> None:
        if not fits.all():
            row = int(np.argmin(fits))
            raise GuestError(f"agent {self.name} proposes a {what} of {values[row]}: give {valid}")

    def state(self) -> dict[str, Floats]:
        """As `Agent` says; raises GuestError for anything but arrays of float64 or int64 by name."""
        state = self._asked("tell its state", self.agent.state)
        fits = isinstance(state, dict) and all(
            isinstance(name, str) and isinstance(value, np.ndarray) and value.dtype in _NUMBERS
            for name, value in state.items()
        )
        if not fits:
            raise GuestError(
                f"agent {self.name} has a state that cannot be stored: give arrays of float64 by name"
            )
        return {name: value.copy() for name, value in state.items()}

    def restore(self, state: dict[str, Floats]) -> None:
        """As `Agent` says; raises GuestError where the agent cannot go on from it."""
        self._asked("go on from its state", lambda: self.agent.restore(state))

    def _asked(self, what: str, ask: Callable[[], T]) -> T:
        """What the agent answers; whatever it raises becomes a GuestError."""
        try:
            return ask()
        except WindvaneError as error:
            raise GuestError(f"agent {self.name} cannot {what}: {error}") from error
        except Exception as error:
            why = f"{type(error).__name__}: {error}".splitlines()[0]
            raise GuestError(
                f"agent {self.name} cannot {what} ({why}): mend its class, or leave it out"
            ) from error
