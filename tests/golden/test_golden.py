"""The golden books come out as they did: a change of results must be on purpose."""

import json
from typing import Any

import pytest
from golden_book import DELAYS, HOME, digested

CLOSE = 1e-9
"""Relative: bit equality holds on one type of CPU only."""

LOT = 1.5e-8
"""Quantities are rounded to lots of 1e-8, so the last bit of a target may move one."""

ADVICE = (
    "results changed; if that was meant, run `python tests/golden/golden_book.py`, "
    "look at what it changed, and say in the changelog which order changed and why"
)


def compare(got: Any, wanted: Any, where: str) -> str | None:
    """The first difference in words."""
    if isinstance(wanted, float) and isinstance(got, float):
        lots = LOT if where.endswith(".qty") else 1e-15
        same = abs(got - wanted) <= CLOSE * max(abs(got), abs(wanted)) + lots
        return None if same else f"{where} is {got!r}, was {wanted!r}"
    if isinstance(wanted, dict) and isinstance(got, dict):
        if list(got) != list(wanted):
            return f"{where} has {list(got)}, had {list(wanted)}"
        pairs = [(f"{where}.{key}", got[key], wanted[key]) for key in wanted]
    elif isinstance(wanted, list) and isinstance(got, list):
        if len(got) != len(wanted):
            return f"{where} has {len(got)} entries, had {len(wanted)}"
        pairs = [(f"{where}[{i}]", a, b) for i, (a, b) in enumerate(zip(got, wanted, strict=True))]
    else:
        return None if got == wanted else f"{where} is {got!r}, was {wanted!r}"
    return next((found for name, a, b in pairs if (found := compare(a, b, name)) is not None), None)


@pytest.mark.parametrize("delay", DELAYS)
def test_a_golden_book_comes_out_as_it_did(delay: int) -> None:
    wanted = json.loads(HOME.read_text(encoding="utf-8"))[f"delay {delay}"]
    found = compare(json.loads(json.dumps(digested(delay))), wanted, f"delay {delay}")
    if found is not None:
        pytest.fail(f"{found}: {ADVICE}", pytrace=False)


def test_a_golden_book_is_worth_keeping() -> None:
    for book in json.loads(HOME.read_text(encoding="utf-8")).values():
        assert book["orders"] > 100
        assert len(book["reasons"]) >= 1
        assert len(book["verdicts"]) >= 3
        assert book["learner"] > 0


def test_a_difference_is_seen() -> None:
    book = {"orders": 3, "last": [{"qty": 1.0}], "equity": {"ensemble": 1e6}}
    assert compare(book, book, "book") is None
    near = {**book, "equity": {"ensemble": 1e6 * (1 + 1e-12)}}
    assert compare(near, book, "book") is None
    for other in (
        {**book, "orders": 4},
        {**book, "last": [{"qty": 1.0 + 1e-7}]},
        {**book, "last": []},
        {"orders": 3},
    ):
        assert compare(other, book, "book") is not None
