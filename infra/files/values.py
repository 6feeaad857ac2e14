"""Columns of a table as numbers, trade sides and regime labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from windvane.agents.base import Floats, Ints
from windvane.metamodel.base.regimes import REGIMES

_TRUE = ("true", "t", "1", "1.0")
_FALSE = ("false", "f", "0", "0.0")
_BUY = ("buy", "b", "bid", "buyer", "1", "1.0")
_SELL = ("sell", "s", "ask", "seller", "-1", "-1.0")


def is_text(kind: Any) -> bool:
    """Whether a pyarrow type is one of text."""
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_number(kind: Any) -> bool:
    """Whether a pyarrow type is one of numbers."""
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def numbers(column: Any) -> Floats:
    """(n,) float64, NaN where the column holds no number."""
    import pyarrow as pa

    kind = column.type
    if is_text(kind):
        import pandas as pd

        text = pd.Series(column.to_pandas(), dtype=object)
        return pd.to_numeric(text, errors="coerce").to_numpy(np.float64)
    if not is_number(kind):
        return np.full(len(column), np.nan)
    plain = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return np.array(plain, np.float64)


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


def bought(column: Any, *, maker: bool) -> Ints:
    """(n,) 1 where the aggressor bought, 0 where it sold, -1 where the column does not say.

    maker: the column says whether the buyer was passive, instead of the aggressor's side.
    """
    one, zero = (_FALSE, _TRUE) if maker else (_BUY, _SELL)
    words, place = _words(column)
    meaning = np.array([1 if word in one else 0 if word in zero else -1 for word in words], np.int64)
    return meaning[place]


def labels(column: Any) -> Ints:
    """(n,) regime labels 0 to 6, from a column of numbers or names; -1 where it has neither."""
    words, place = _words(column)
    known = {name: k for k, name in enumerate(REGIMES)}
    known |= {text: k for k in range(len(REGIMES)) for text in (str(k), f"{k}.0")}
    return np.array([known.get(word, -1) for word in words], np.int64)[place]


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
