"""Controls of a session: checked, numbered, once each, and answered by the decision that obeys them."""

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from windvane.agents.errors import WindvaneError
from windvane.infra.live.book import LiveBook
from windvane.metamodel.base.config import TradingConfig
from windvane.metamodel.base.weights import WeightsError
from windvane.metamodel.learning import swapping
from windvane.metamodel.trading.control import CONTROLS, STATES
from windvane.metamodel.trading.ensemble import manager_of
from windvane.streams.checks import MOST_MODEL_BYTES
from windvane.streams.control_log import payload_of
from windvane.streams.events import Control, Model
from windvane.streams.models import swap_to

MOST_WEIGHTS = (MOST_MODEL_BYTES - 10_000) // 4 * 3
"""Bytes of the weights of a swap: base64 makes four of three, and there is a little around them."""

_MOST_NONCES = 10_000


class ControlError(WindvaneError):
    """A control that is not sent: one sentence that says why, and what to do."""


class Outcome(NamedTuple):
    """What became of a control."""

    number: int
    obeyed: bool
    row: int  # seq of the row that obeyed it, or of the next one where none has
    sentence: str  # for a person


class Controls:
    """Carries out the controls of one book, in the thread of its rows.

    beat: sends a heartbeat row, so that a control is obeyed at once, however silent the market is.
    """

    def __init__(self, book: LiveBook, beat: Callable[[], None]) -> None:
        self._book = book
        self._beat = beat
        self._done: OrderedDict[str, Outcome] = OrderedDict()  # by nonce, the newest

    def carry_out(
        self, action: str, by: str, reason: str = "", nonce: str = "", weights: bytes = b""
    ) -> Outcome:
        """Send a control and a row that obeys it; raises ControlError for what no book would apply.

        by: who orders it; both it and the reason are recorded. nonce: a text of the caller's; with one that was
        there before nothing is sent, and the first outcome is returned, so a press that is repeated counts once.
        weights: safetensors, of a swap.
        """
        if nonce and nonce in self._done:
            return self._done[nonce]
        control, model = self._numbered(action, _story(by, reason), weights)
        self._book.control(control, model)
        self._beat()
        outcome = self._outcome(control)
        if nonce:
            self._done[nonce] = outcome
            if len(self._done) > _MOST_NONCES:
                self._done.popitem(last=False)
        return outcome

    def _numbered(self, action: str, reason: str, weights: bytes) -> tuple[Control, Model | None]:
        opened, number = self._book.opened, self._book.control_number + 1
        _check(action in CONTROLS, f"the control is {action!r}: give one of {', '.join(CONTROLS)}")
        _check((action == "swap") == bool(weights), "give weights with swap, and with nothing else")
        if not weights:
            return Control(
                book=opened.book, number=number, action=action, effective_from=0, reason=reason
            ), None
        _check(
            len(weights) <= MOST_WEIGHTS,
            f"the weights have {len(weights):,} bytes: a swap takes {MOST_WEIGHTS:,}",
        )
        try_weights(opened.config, weights)
        model, control = swap_to(weights, book=opened.book, number=number, reason=reason)
        return control, model

    def _outcome(self, control: Control) -> Outcome:
        name = f"control {control.number} of book {control.book} ({control.action})"
        refused = [one.reason for one in self._book.letters if one.payload == payload_of(control)]
        decisions = self._book.decisions
        obeyed = decisions is not None and int(decisions.controls[-1]) >= control.number
        if refused or decisions is None or not obeyed:
            why = refused[0] if refused else "no row has obeyed it yet: the next one will"
            return Outcome(control.number, False, self._book.mark.seq, f"{name}: {why}")
        row, state = decisions.last, STATES[int(decisions.state[-1])]
        return Outcome(
            control.number, True, row, f"{name} is in effect from row {row:,}: the book is {state}"
        )


def try_weights(config: TradingConfig, weights: bytes) -> None:
    """Raise ControlError where a book with these settings could not use the weights."""
    try:
        swapping.swap(manager_of(config), weights)
    except WeightsError as error:
        raise ControlError(str(error)) from error


def _story(by: str, reason: str) -> str:
    """Who ordered a control, and why, as it is recorded; raises ControlError for texts that are too long."""
    story = ": ".join(text for text in (by.strip(), reason.strip()) if text)
    _check(len(story) <= 1000, f"name and reason have {len(story)} characters: give at most 1000")
    _check(
        story.isprintable() and story.encode(errors="replace").decode() == story,
        "name or reason cannot be printed: give text",
    )
    return story


def _check(condition: bool, sentence: str) -> None:
    if not condition:
        raise ControlError(sentence)
