"""Parameters of config classes: the type, range, unit and description of each, and how values are checked."""

import difflib
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from windvane.metamodel.base.config import ConfigError

_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
_LISTS = {tuple[int, ...]: "whole numbers"}


@dataclass(frozen=True, slots=True)
class Parameter:
    """Type, range, unit and description of one parameter.

    what: the description, a phrase; kind: the type; low and high: inclusive bounds; above: an exclusive lower bound;
    None means no bound. optional: None is a valid value, which switches the parameter off. choices: the texts that a
    list may hold.
    """

    what: str
    kind: Any
    low: float | None = None
    high: float | None = None
    above: float | None = None
    unit: str = ""
    optional: bool = False
    choices: tuple[str, ...] = ()

    def allowed(self) -> str:
        """Return the valid values in words, such as "a number from 0 to 1", for messages and documentation."""
        if self.choices:
            return f"some of {', '.join(self.choices)}"
        text = (_KINDS | _LISTS).get(self.kind, "a value")
        if self.above is not None:
            text += f" above {self.above:g}" + ("" if self.high is None else f", up to {self.high:g}")
        elif self.low is not None:
            text += (
                f" of {self.low:g} or more" if self.high is None else f" from {self.low:g} to {self.high:g}"
            )
        text += f" ({self.unit})" if self.unit else ""
        return text + (", or None to switch it off" if self.optional else "")


def parameter(default: Any, what: str, **more: Any) -> Any:
    """Declare a dataclass field with a Parameter in its metadata, for a class that checks values on assignment.

    what: the description; more: any other fields of `Parameter`. The type is that of the default unless `kind` says
    otherwise; a list or dict as default is copied for every instance.
    """
    kind = more.pop("kind", None) or type(default)
    rule = Parameter(what, kind, **more)
    if isinstance(default, list | dict):
        return field(default_factory=lambda: type(default)(default), metadata={"parameter": rule})
    return field(default=default, metadata={"parameter": rule})


def checked(name: str, rule: Parameter, value: Any) -> Any:
    """Return `value` as the type of its parameter; raises ConfigError, with the valid range, where it does not fit."""
    if value is None and rule.optional:
        return None
    try:
        typed = msgspec.convert(value, rule.kind, strict=True)
    except msgspec.ValidationError as error:
        raise _refusal(name, rule, value) from error
    if isinstance(typed, float | int) and not isinstance(typed, bool):
        if isinstance(typed, float) and not math.isfinite(typed):
            raise _refusal(name, rule, value)
        low = rule.low is None or typed >= rule.low
        high = rule.high is None or typed <= rule.high
        if not (low and high and (rule.above is None or typed > rule.above)):
            raise _refusal(name, rule, value)
    return typed


def parsed(name: str, rule: Parameter, text: str) -> Any:
    """Return the value that a text, such as that of an environment variable, means for a parameter.

    "", none, null and off switch an optional parameter off; commas separate the entries of a list. Raises ConfigError
    as `checked` does.
    """
    plain = text.strip()
    if rule.optional and plain.lower() in ("", "none", "null", "off"):
        return None
    value: Any = plain
    if rule.kind not in _KINDS:
        value = [part.strip() for part in plain.split(",") if part.strip()]
    try:
        return checked(name, rule, msgspec.convert(value, rule.kind, strict=False))
    except msgspec.ValidationError as error:
        raise _refusal(name, rule, text) from error


def _refusal(name: str, rule: Parameter, value: Any) -> ConfigError:
    return ConfigError(f"{name} is {value!r}: give {rule.allowed()}")


def unknown(what: str, name: str, known: Iterable[str]) -> ConfigError:
    """Return the error for a `name` that is not among `known`, which suggests the nearest one.

    what: the kind of thing that has names, such as "preset".
    """
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.0)[0]
    return ConfigError(f"unknown {what} {name!r}: did you mean {near!r}?")
