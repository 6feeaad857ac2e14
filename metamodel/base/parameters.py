"""What a parameter is: a type, a range, a unit and one line; and how a value is checked against them."""

import difflib
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from windvane.metamodel.base.config import ConfigError

_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


@dataclass(frozen=True, slots=True)
class Parameter:
    """Range: low and high belong to it, `above` does not; None: no bound. optional: None switches it off."""

    what: str
    kind: Any
    low: float | None = None
    high: float | None = None
    above: float | None = None
    unit: str = ""
    optional: bool = False
    choices: tuple[str, ...] = ()

    def allowed(self) -> str:
        """What may be given, in words."""
        if self.choices:
            return f"some of {', '.join(self.choices)}"
        text = _KINDS.get(self.kind, "a value")
        if self.above is not None:
            text += f" above {self.above:g}" + ("" if self.high is None else f", up to {self.high:g}")
        elif self.low is not None:
            text += (
                f" of {self.low:g} or more" if self.high is None else f" from {self.low:g} to {self.high:g}"
            )
        text += f" ({self.unit})" if self.unit else ""
        return text + (", or None to switch it off" if self.optional else "")


def parameter(default: Any, what: str, **more: Any) -> Any:
    """A field of a config class that is checked on assignment; the rest as in `Parameter`."""
    kind = more.pop("kind", None) or type(default)
    told = Parameter(what, kind, **more)
    if isinstance(default, list | dict):
        return field(default_factory=lambda: type(default)(default), metadata={"parameter": told})
    return field(default=default, metadata={"parameter": told})


def checked(name: str, told: Parameter, value: Any) -> Any:
    """The value as its type; raises ConfigError with the range where it does not fit."""
    if value is None and told.optional:
        return None
    try:
        found = msgspec.convert(value, told.kind, strict=True)
    except msgspec.ValidationError as error:
        raise _refusal(name, told, value) from error
    if isinstance(found, float | int) and not isinstance(found, bool):
        if isinstance(found, float) and not math.isfinite(found):
            raise _refusal(name, told, value)
        low = told.low is None or found >= told.low
        high = told.high is None or found <= told.high
        if not (low and high and (told.above is None or found > told.above)):
            raise _refusal(name, told, value)
    return found


def parsed(name: str, told: Parameter, text: str) -> Any:
    """The value that a text means, such as an environment variable's; raises ConfigError as `checked` does."""
    plain = text.strip()
    if told.optional and plain.lower() in ("", "none", "null", "off"):
        return None
    value: Any = plain
    if told.kind not in _KINDS:
        value = [part.strip() for part in plain.split(",") if part.strip()]
    try:
        return checked(name, told, msgspec.convert(value, told.kind, strict=False))
    except msgspec.ValidationError as error:
        raise _refusal(name, told, text) from error


def _refusal(name: str, told: Parameter, value: Any) -> ConfigError:
    return ConfigError(f"{name} is {value!r}: give {told.allowed()}")


def unknown(what: str, name: str, known: Iterable[str]) -> ConfigError:
    """A name that is not there, with the nearest that is."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.0)[0]
    return ConfigError(f"unknown {what} {name!r}: did you mean {near!r}?")
