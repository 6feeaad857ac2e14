"""Benching: an agent whose answer for a row cannot be used takes no part in that row, and the others go on."""

import numpy as np

from windvane.agents.base import Floats, Ints

FIT, RAISED, NO_NUMBER, OUT_OF_RANGE, MISSHAPEN, PASSED, HUNG = range(7)
"""Why an agent is benched at a row, as it is recorded beside its proposals. FIT: it is not."""

REASONS: tuple[str, ...] = (
    "",
    "it raised an error",
    "its answer is not a number",
    "its answer is out of range",
    "its answer has another shape or type, or cannot be read",
    "it passed",
    "it did not answer in time",
)
"""The codes in words, each in its place. PASSED: the agent itself says that it has no answer. HUNG: its process was
killed, or is not back yet."""


def faults_of(target: Floats, confidence: Floats) -> Ints | None:
    """Why each answer cannot be used, FIT where it can; None where all can.

    target, confidence: arrays of one shape, NaN and inf among them. A target lies in [-1, 1], a confidence in [0, 1].
    """
    fit = (np.abs(target) <= 1.0) & (confidence >= 0.0) & (confidence <= 1.0)
    if fit.all():
        return None
    numbers = np.isfinite(target) & np.isfinite(confidence)
    return np.where(fit, FIT, np.where(numbers, OUT_OF_RANGE, NO_NUMBER)).astype(np.int64)
