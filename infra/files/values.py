"""Columns of a table as numbers, trade sides and regime labels."""

from __future__ import annotations

import re
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from windvane.agents.base import Floats, Ints
from windvane.metamodel.base.regimes import REGIMES

_TRUE = ("true", "t", "1", "1.0")
_FALSE = ("false", "f", "0", "0.0")
_SIDES = (
    {"buy": 1, "b": 1, "buyer": 1, "sell": 0, "s": 0, "seller": 0},
    {"1": 1, "1.0": 1, "+1": 1, "-1": 0, "-1.0": 0},
)
"""Words of the side of the aggressor, 1 for bought; the words of a column must be of one of these kinds."""
_UNKNOWN = ("none", "nan", "", "unknown", "undefined", "n", "na", "n/a", "null", "-")
_NO_NUMBER = ("", "nan", "null", "none", "na", "n/a", "-")
QUOTE_SIDES = frozenset(("bid", "ask", "bids", "asks", "a", "offer"))
"""Words of the side of a book: of a trade they may be the side that was taken, or the side that took."""
SIDE_WORDS = frozenset(word for kind in _SIDES for word in kind) | QUOTE_SIDES | {"0", "2", "0.0", "2.0"}
"""Words and codes that are found in a column of sides."""
Comma = Literal["thousands", "decimal", "unsure"]


def is_text(kind: Any) -> bool:
    """Whether a pyarrow type is one of text."""
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_number(kind: Any) -> bool:
    """Whether a pyarrow type is one of numbers."""
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def numbers(column: Any, comma: Comma | None = None) -> Floats:
    """(n,) float64, NaN where the column holds no number; comma: what commas in its numbers part."""
    import pyarrow as pa

    kind = column.type
    if is_text(kind):
        import pandas as pd

        text = pd.Series(column.to_pandas(), dtype=object)
        plain = np.array(pd.to_numeric(text, errors="coerce").to_numpy(np.float64))
        rest = np.isnan(plain) & text.notna().to_numpy()
        if comma == "decimal":  # 62.035 is sixty-two thousand there
            rest = text.notna().to_numpy()
        if rest.any():
            plain[rest] = _dressed(text[rest].astype(str), comma)
        return plain
    if not is_number(kind):
        return np.full(len(column), np.nan)
    plain = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return np.array(plain, np.float64)


_GROUPS = re.compile(r"^[+-]?\d{1,3}(,\d{3})+$")
_THOUSANDS = re.compile(r"^[+-]?\d{1,3}(,\d{3})*(\.\d+)?$")
_DECIMAL = re.compile(r"^[+-]?(\d+|\d{1,3}(\.\d{3})+)(,\d+)?$")
_CURRENCIES = r"^\s*[$\u20ac\u00a3]?\s*|\s*[$\u20ac\u00a3]?\s*$"
_SPACED = r"(?<=\d)[ \u00a0\u202f'\u2019](?=\d{3}(?!\d))"
_SUFFIXES = {"K": 1e3, "M": 1e6, "B": 1e9}
_SAMPLE = 1000


def comma_of(column: Any) -> Comma | None:
    """What commas in the numbers of a text column part; None where it has no such numbers."""
    if not is_text(column.type):
        return None
    words = (str(word) for word in column.slice(0, _SAMPLE).drop_null().to_pylist() if "," in str(word))
    kinds: set[Comma] = set()
    for word in words:
        plain = re.sub(_SPACED, "", re.sub(_CURRENCIES, "", word)).rstrip("KMB%")
        if _GROUPS.match(plain):
            kinds.add("thousands" if plain.count(",") > 1 else "unsure")
        elif _THOUSANDS.match(plain):
            kinds.add("thousands")
        elif _DECIMAL.match(plain):
            kinds.add("decimal")
    sure = kinds - {"unsure"}
    if len(sure) == 1:
        return sure.pop()
    return "unsure" if kinds else None


def _dressed(text: Any, comma: Comma | None) -> Floats:
    """Numbers with marks that people read: parted thousands, signs of currencies, K, M and B."""
    import pandas as pd

    text = text.str.replace(_CURRENCIES, "", regex=True).str.replace(_SPACED, "", regex=True)
    factor = text.str[-1:].map(_SUFFIXES).fillna(1.0).to_numpy(np.float64)
    text = text.where(factor == 1.0, text.str[:-1])
    if comma == "thousands":
        text = text.where(~text.str.match(_THOUSANDS), text.str.replace(",", ""))
    elif comma == "decimal":
        text = text.where(
            ~text.str.match(_DECIMAL),
            text.str.replace(".", "", regex=False).str.replace(",", ".", regex=False),
        )
    return np.asarray(pd.to_numeric(text, errors="coerce").to_numpy(np.float64) * factor)


def missing(column: Any) -> NDArray[np.bool_]:
    """(n,) where a column says that it holds no number: nothing at all, or NaN in words."""
    absent = np.asarray(column.is_null(nan_is_null=True).to_numpy(zero_copy_only=False), bool)
    if is_text(column.type):
        words, place = _words(column)
        absent = absent | np.isin(place, [k for k, word in enumerate(words) if word in _NO_NUMBER])
    return absent


def identities(column: Any) -> Ints | None:
    """(n,) trade ids, the smallest int64 where a row has none; None where most are no whole numbers."""
    import pyarrow as pa

    if pa.types.is_integer(column.type) and not pa.types.is_uint64(column.type):
        return np.array(column.cast(pa.int64()).fill_null(np.iinfo(np.int64).min).to_numpy(), np.int64)
    values = numbers(column)
    whole = np.isfinite(values) & (np.abs(values) < 2**53) & (values == np.floor(values))
    if np.count_nonzero(whole) * 2 <= len(values):
        return None
    return np.where(whole, values, np.iinfo(np.int64).min).astype(np.int64)


def bought(column: Any, *, maker: bool, codes: dict[str, int] | None = None) -> tuple[Ints, list[str]]:
    """(n,) 1 where the aggressor bought, 0 where it sold, -1 unknown; and the words that are not understood.

    maker: the column says that the buyer was passive. codes: what a person says that the words mean.
    """
    words, place = _words(column)
    if maker:
        codes = {**dict.fromkeys(_FALSE, 1), **dict.fromkeys(_TRUE, 0)}
    elif codes is None:
        spoken = {word for word in words if word not in _UNKNOWN}
        codes = max(_SIDES, key=lambda kind: len(spoken & kind.keys()))
        other = spoken - codes.keys()
        # Of 0 and 1 either may be the buyer; beside -1 and 1, 0 is neither.
        if other & QUOTE_SIDES or ("1" in codes and "-1" not in spoken and "-1.0" not in spoken):
            codes = {}
    meaning = np.array([codes.get(word, -1) for word in words], np.int64)
    strange = [word for word in words if word not in codes and word not in _UNKNOWN]
    return meaning[place], strange


def labels(column: Any) -> Ints:
    """(n,) regime labels 0 to 6, from a column of numbers or names; -1 where it has neither."""
    words, place = _words(column)
    known = {name: k for k, name in enumerate(REGIMES)}
    known |= {text: k for k in range(len(REGIMES)) for text in (str(k), f"{k}.0")}
    return np.array([known.get(word, -1) for word in words], np.int64)[place]


def words_of(column: Any) -> tuple[list[str], NDArray[np.int64]]:
    """The different values of a column as lower-case text, and each row's place among them."""
    return _words(column)


def _words(column: Any) -> tuple[list[str], NDArray[np.int64]]:
    """The different values of a column as lower-case text, and each row's place among them.

    Only text, numbers and booleans are words; a column of anything else has none.
    """
    import pyarrow as pa

    if not (is_text(column.type) or is_number(column.type) or pa.types.is_boolean(column.type)):
        return ["none"], np.zeros(len(column), np.int64)
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
        if isinstance(column, pa.ChunkedArray):  # too long for one chunk
            column = pa.concat_arrays(column.chunks)
    encoded = column.dictionary_encode()
    words = [str(value).strip().lower() for value in encoded.dictionary.to_pylist()]
    place = encoded.indices.cast(pa.int64()).fill_null(len(words)).to_numpy()
    return [*words, "none"], np.asarray(place, np.int64)
