"""Proposals as others write them, in any language: what can be said of a record though its numbers cannot be used.

A record whose book, rows and agents can be read stands for those rows, whatever else is wrong with it: an answer that
is no number, such as NaN or null, benches its agent at that row, and columns that cannot be read bench it at all of
them. So no such record holds up a book that waits for the answer.
"""

import json
from base64 import b64decode
from typing import Any

import numpy as np

from windvane.agents.base import Floats
from windvane.agents.benching import MISSHAPEN
from windvane.streams.codec import WireError, from_json
from windvane.streams.events import Event, Proposals

_MOST_SEQ = 2**62
_MOST_AGENTS = 64


def read_answers(raw: bytes) -> Event:
    """The event of a record of the proposals topic; raises WireError where not even its rows can be read."""
    try:
        return from_json(raw)
    except WireError:
        salvaged = _salvaged(raw)
        if salvaged is None:
            raise
        return salvaged


def _salvaged(raw: bytes) -> Proposals | None:
    """What a record says whose numbers cannot all be used; None where it does not name book, rows and agents."""
    try:
        told = json.loads(raw)  # which, unlike JSON, knows NaN and Infinity, and so do its writers
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, dict) or told.get("type") != "Proposals":
        return None
    book, seq, agents = told.get("book"), _seq(told.get("seq")), _names(told.get("agents"))
    if not isinstance(book, str) or seq is None or agents is None:
        return None
    n, count = len(seq), len(agents)
    target, confidence = (_matrix(told.get(name), n, count) for name in ("target", "confidence"))
    benched = None
    if target is None or confidence is None or told.get("benched") is not None:
        benched = np.full((n, count), MISSHAPEN)
        target = confidence = np.zeros((n, count))
    return Proposals(
        book=book,
        seq=seq,
        agents=agents,
        versions=_names(told.get("versions")) or ("",) * count,
        target=target,
        action=np.zeros((n, count), np.int64),
        confidence=confidence,
        benched=benched,
    )


def _seq(value: Any) -> np.ndarray | None:
    """Rows that grow from 0 or more, None where these do not."""
    if (
        not isinstance(value, list)
        or not value
        or not all(type(v) is int and 0 <= v < _MOST_SEQ for v in value)
    ):
        return None
    seq = np.array(value, np.int64)
    return seq if (np.diff(seq) > 0).all() else None


def _names(value: Any) -> tuple[str, ...] | None:
    if not isinstance(value, list) or not 0 < len(value) <= _MOST_AGENTS:
        return None
    return tuple(value) if all(isinstance(name, str) for name in value) else None


def _matrix(value: Any, n: int, count: int) -> Floats | None:
    """Numbers of n rows and so many agents, NaN for what is no number; None where there are more or fewer."""
    if isinstance(value, dict):
        return _unpacked(value, n, count)
    if not isinstance(value, list) or len(value) != n:
        return None
    if not all(isinstance(row, list) and len(row) == count for row in value):
        return None
    return np.array([[_number(cell) for cell in row] for row in value], np.float64)


def _number(cell: Any) -> float:
    try:
        return float(cell) if type(cell) in (int, float) else np.nan
    except OverflowError:
        return np.nan


def _unpacked(value: dict[str, Any], n: int, count: int) -> Floats | None:
    told = value.get("f8")
    try:
        raw = b64decode(told, validate=True) if isinstance(told, str) else b""
    except ValueError:
        return None
    if value.get("shape") != [n, count] or len(raw) != 8 * n * count:
        return None
    return np.frombuffer(raw, "<f8").reshape(n, count).copy()
