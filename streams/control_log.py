"""Which controls a book has received, to tell a copy of one from one that is too late, and that from a new one.

Why a control is not applied depends on the order of the control topic and on which controls rule from which rows, and
on nothing else: a recovery reads controls earlier than the run did, and must come to the same sentence.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import msgspec

from windvane.metamodel.trading.control import CONTROLS
from windvane.streams.codec import to_json
from windvane.streams.events import Control, DeadLetter

MOST_REMEMBERED = 10_000
"""Most numbers that are remembered of a book, the highest. A copy of an older control is refused as if it were none."""

CLOSED = "the book is closed"
"""Why a control of a book that has ended is not applied."""

AGAIN = "order it again with `windvane control`, which takes the next number"

_MOST_PAYLOAD = 1000


class ControlLog:
    """Controls of one book by number. saved: what `save` returned, None of a new book."""

    def __init__(self, saved: Mapping[str, Any] | None = None) -> None:
        saved = saved or {}
        self._heard: dict[int, list[str]] = {n: list(ids) for n, ids in saved.get("heard", ())}
        self._obeyed: dict[int, int] = dict(saved.get("obeyed", ()))

    def save(self) -> dict[str, Any]:
        """Its state as JSON values: identities by number, and the row from which each that was applied rules."""
        return {"heard": list(self._heard.items()), "obeyed": list(self._obeyed.items())}

    def hear(self, control: Control) -> str | None:
        """Why a control can never be applied, "" where it may be; None for a copy of one that was received before."""
        number, identity = control.number, _identity(control)
        others = self._heard.setdefault(number, [])
        if identity in others:
            return None
        others.append(identity)
        _forget(self._heard)
        if control.action not in CONTROLS:
            return f"unknown control {control.action!r}: give one of {', '.join(CONTROLS)}"
        if number < 1:
            return f"numbers begin with 1: {AGAIN}"
        if others[0] != identity:
            return f"another control had that number first: {AGAIN}"
        return ""

    def obey(self, number: int, row: int) -> None:
        """Remember that a control was applied at a row."""
        self._obeyed[number] = row
        _forget(self._obeyed)

    def passed(self, number: int) -> str:
        """Why a control is not applied any more: the first one applied with a higher number."""
        by = min((n for n in self._obeyed if n > number), default=None)
        one = "one with this number or a higher one" if by is None else f"control {by}"
        row = "" if by is None else f", at row {self._obeyed[by]}"
        return f"{one} was applied before it{row}, and numbers only rise: {AGAIN}"


def refusal(control: Control, why: str) -> DeadLetter:
    """The dead letter of a control that is not applied or changes nothing; the same wherever it is computed again."""
    return DeadLetter(
        book=control.book, source=f"Control of book {control.book}", reason=why, payload=payload_of(control)
    )


def unapplied(control: Control, why: str) -> DeadLetter:
    """The refusal of a control that never rules a row."""
    start = f"from row {control.effective_from}" if control.effective_from > 0 else "at once"
    what = f"control {control.number} of book {control.book} ({control.action}, {start})"
    return refusal(control, f"{what} is not applied: {why}")


def payload_of(control: Control) -> str:
    """The payload of the refusal of a control, by which its sender knows it."""
    return _unsigned(control)[:_MOST_PAYLOAD].decode(errors="replace")


def _identity(control: Control) -> str:
    return sha256(_unsigned(control)).hexdigest()[:16]


def _unsigned(control: Control) -> bytes:
    """The JSON without the signature: signed with another key, or with none, it is the same control."""
    return to_json(msgspec.structs.replace(control, signature=""))


def _forget(by_number: dict[int, Any]) -> None:
    while len(by_number) > MOST_REMEMBERED:
        del by_number[min(by_number)]
