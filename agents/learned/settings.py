"""What settings of learners have in common: their ranges, by name."""

import math

import msgspec

from windvane.agents.errors import WindvaneError


class LearnedError(WindvaneError):
    """A learner or a stored policy cannot be what was given; the message is one sentence that says why."""


_WITHIN = {
    "discount": (0.0, 1.0),
    "rate": (0.0, 1.0),
    "batch": (1, 1_000_000),
    "every": (1, 1_000_000),
    "capacity": (1, 10_000_000),
    "before": (1, 10_000_000),
    "follow": (0.0, 1.0),
    "clip": (0.0, 1e9),
    "explore": (0.0, 1.0),
    "epsilon": (0.0, 1.0),
    "steps": (1, 1_000_000),
    "atoms": (2, 1_001),
    "noise": (0.0, 10.0),
    "priority": (0.0, 1.0),
    "correction": (0.0, 1.0),
    "trace": (0.0, 1.0),
    "epochs": (1, 1_000),
    "batches": (1, 100_000),
    "ratio": (0.0, 10.0),
    "entropy": (0.0, 10.0),
    "value": (0.0, 100.0),
}
"""Least and largest value of a setting, which may be either."""

MOST_UNITS, MOST_LAYERS = 1024, 4
"""Of a hidden layer, and hidden layers: policies are small."""


def check_hidden(hidden: tuple[int, ...]) -> None:
    """Raise LearnedError where hidden layers are none, too many, or too large."""
    fits = 1 <= len(hidden) <= MOST_LAYERS and all(1 <= units <= MOST_UNITS for units in hidden)
    if not fits:
        raise LearnedError(
            f"hidden is {list(hidden)}: give 1 to {MOST_LAYERS} layers of 1 to {MOST_UNITS} units each"
        )


def check(settings: msgspec.Struct) -> None:
    """Raise LearnedError for the first setting that is out of its range."""
    for name in settings.__struct_fields__:
        value = getattr(settings, name)
        if name == "hidden":
            check_hidden(value)
        elif name in _WITHIN:
            low, high = _WITHIN[name]
            if not (math.isfinite(value) and low <= value <= high):
                raise LearnedError(f"{name} is {value}: give {low:g} to {high:g}")
