"""What a person says of a file that the file does not say itself."""

from __future__ import annotations

import codecs
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from windvane.infra.files.errors import InputError
from windvane.infra.files.names import ROLE_OF, ROLES_SAID, UNREAD, plain_name

MAX_REJECTED = 5.0
"""Percent of rows that may be rejected before a file counts as read wrongly."""

_KEYS = (
    "name",
    "columns",
    "stamp",
    "symbol",
    "symbol-column",
    "side-codes",
    "decimal",
    "encoding",
    "max-rejected",
)


@dataclass(frozen=True, slots=True)
class Reading:
    """How a file is to be read; whatever is None is recognised from the file.

    columns: the part that each column plays, in the order of the file, None for a column that is not read.
    named: the part that a column plays, by the column's name in the header. stamp: "open" or "close", what the time
    of a bar marks. symbol: the instrument to take from a table of several, which symbol_column names. side_codes:
    words of the side, lower case, 1 for bought and 0 for sold by the aggressor. decimal: "." or ",".
    encoding: of text files. max_rejected: percent of rows. name: what the layout is called.
    """

    columns: tuple[str | None, ...] | None = None
    named: dict[str, str] = field(default_factory=dict)
    stamp: str | None = None
    symbol: str | None = None
    symbol_column: str | None = None
    side_codes: dict[str, int] | None = None
    decimal: str | None = None
    encoding: str | None = None
    max_rejected: float = MAX_REJECTED
    name: str | None = None


AS_RECOGNISED = Reading()


def reading_of(symbol: str | None = None, layout: Path | None = None, **options: Any) -> Reading:
    """The reading that options of the command line ask for; a layout file holds those that are not given.

    options: columns, stamp, symbol_column, side_codes, decimal, encoding and max_rejected, None where not given.
    Raises InputError, which names the option, for what cannot be meant.
    """
    words = {} if layout is None else _layout_file(layout)
    source = "" if layout is None else f" of {layout.name}"
    for key, value in options.items():
        if value is not None:
            words[key.replace("_", "-")] = value
    origin = {
        key: f"--{key}" if options.get(key.replace("-", "_")) is not None else key + source for key in _KEYS
    }
    columns, named = _columns(words.get("columns"), origin["columns"])
    return Reading(
        columns=columns,
        named=named,
        stamp=_one_of(words.get("stamp"), ("open", "close"), origin["stamp"]),
        symbol=words.get("symbol", symbol),
        symbol_column=words.get("symbol-column"),
        side_codes=_side_codes(words.get("side-codes"), origin["side-codes"]),
        decimal=_one_of(words.get("decimal"), (".", ","), origin["decimal"]),
        encoding=_encoding(words.get("encoding"), origin["encoding"]),
        max_rejected=_percent(words.get("max-rejected"), origin["max-rejected"]),
        name=words.get("name", None if layout is None else layout.stem),
    )


def _layout_file(path: Path) -> dict[str, Any]:
    try:
        words = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"--layout {path} cannot be read ({error.strerror or error}): check the path"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"--layout {path.name} is not sound TOML ({error}): mend that line") from None
    words = {key.replace("_", "-"): value for key, value in words.items()}
    if unknown := [key for key in words if key not in _KEYS]:
        raise InputError(f"--layout {path.name} has the key {unknown[0]!r}: keys are {', '.join(_KEYS)}")
    return words


def _columns(words: Any, option: str) -> tuple[tuple[str | None, ...] | None, dict[str, str]]:
    """Parts by position, or by name where `part=name` or a table says so."""
    if words is None:
        return None, {}
    if isinstance(words, str):
        words = [word.strip() for word in words.split(",")]
        if any("=" in word for word in words):
            if not all("=" in word for word in words):
                raise InputError(f"{option} mixes words with and without '=': name all columns, or list all")
            words = dict(word.split("=", 1) for word in words)
    if isinstance(words, dict):
        return None, {_part(str(part), option): plain_name(str(name)) for part, name in words.items()}
    parts = tuple(None if str(word).lower() in UNREAD else _part(str(word), option) for word in words)
    chosen = [part for part in parts if part is not None]
    if twice := next((part for part in chosen if chosen.count(part) > 1), None):
        raise InputError(f"{option} names {twice} twice: write - for a column that is not to be read")
    if {"date", "clock"} <= set(chosen) or {"ts", "close_ts"} & set(chosen):
        return parts, {}
    raise InputError(f"{option} names no column of times: name one of them ts")


def _part(word: str, option: str) -> str:
    part = ROLE_OF.get(plain_name(word))
    if part is None:
        raise InputError(
            f"{option} names {word!r}, which is nothing that is read: name {', '.join(ROLES_SAID)}, "
            "or - for a column that is not to be read"
        )
    return part


def _one_of(word: Any, allowed: tuple[str, ...], option: str) -> str | None:
    if word is None or word in allowed:
        return word
    raise InputError(f"{option} is {word!r}: give {' or '.join(allowed)}")


def _side_codes(words: Any, option: str) -> dict[str, int] | None:
    """`buy=0,sell=1`, or the two codes in that order: `0,1`."""
    if words is None:
        return None
    pairs = (
        words.items() if isinstance(words, dict) else [pair.split("=", 1) for pair in str(words).split(",")]
    )
    pairs = [[str(word).strip().lower() for word in pair] for pair in pairs]
    if len(pairs) == 2 and all(len(pair) == 1 for pair in pairs):
        pairs = [["buy", pairs[0][0]], ["sell", pairs[1][0]]]
    codes = {
        pair[1]: int(pair[0] == "buy") for pair in pairs if len(pair) == 2 and pair[0] in ("buy", "sell")
    }
    if len(codes) == len(pairs) and set(codes.values()) == {0, 1}:
        return codes
    raise InputError(f"{option} is {words!r}: give the codes of who took the trade, such as buy=0,sell=1")


def _encoding(word: Any, option: str) -> str | None:
    if word is None:
        return None
    try:
        codecs.lookup(str(word))
        "".encode(str(word))
    except (LookupError, TypeError, ValueError):
        raise InputError(f"{option} is {word!r}, which is unknown: give utf-8, utf-16, cp1252 ...") from None
    return str(word)


def _percent(word: Any, option: str) -> float:
    if word is None:
        return MAX_REJECTED
    text = re.sub(r"\s*%$", "", str(word))
    try:
        percent = float(text)
    except ValueError:
        percent = -1.0
    if not 0.0 <= percent <= 100.0:
        raise InputError(f"{option} is {word!r}: give the percent of rows that may be rejected, 0 to 100")
    return percent
