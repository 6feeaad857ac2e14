"""The history that an ensemble warms up on, in whichever of a few forms a person has it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.agents.errors import WindvaneError
from windvane.metamodel.base.rows import REPEATED
from windvane.metamodel.features.extractor import WARMUP, FeatureRows, MarketFeatureExtractor
from windvane.metamodel.simulation.market import FIRST

SIZES = ("size", "bid", "ask", "bid_size", "ask_size", "buy_size")
_KNOWN = ("ts", "price", *SIZES)
_PASSED_OVER = ("regime", "fee_bp")  # what simulated markets hold beside their rows
_FORMS = (
    "give prices (n,), columns by name ({}), a market of simulate or load_market, or the FeatureRows of an "
    "extractor".format(", ".join(_KNOWN))
)


def feature_rows(
    history: Any, bar: int, stale_after: int
) -> tuple[FeatureRows, MarketFeatureExtractor | None]:
    """Features of a history, and the extractor that has seen it, to be stepped on; None where they came as features.

    They have the good rows that fill all windows, or more. bar: ns between two prices that come without times;
    stale_after: ns, as of `MarketFeatureExtractor`. Raises WindvaneError for a shorter history, and for anything but
    the forms that `MetaLearningRiskManagedEnsemble.warm_up` lists.
    """
    rows, extractor = (
        (history, None) if isinstance(history, FeatureRows) else _extracted(history, bar, stale_after)
    )
    good = np.count_nonzero((rows.flags & REPEATED) == 0)
    if good < WARMUP:
        raise WindvaneError(
            f"the history has {len(rows.ts)} rows, {good} of them good and less than {stale_after / 1e9:g} s apart: "
            f"give {WARMUP} good ones or more"
        )
    return rows, extractor


def _extracted(history: Any, bar: int, stale_after: int) -> tuple[FeatureRows, MarketFeatureExtractor]:
    """Features of a history that is a market, and the extractor that has seen it."""
    columns = _columns(history)
    price = columns.pop("price")
    ts = columns.pop("ts", None)
    n = len(price)
    times = FIRST + bar * np.arange(n, dtype=np.int64) if ts is None else ts
    for name, column in (("ts", times), *columns.items()):
        if len(column) != n:
            raise WindvaneError(
                f"the history has {n} prices and {len(column)} values of {name}: give as many of each"
            )
    if n == 0:
        raise WindvaneError(f"the history has no row: {_FORMS}")
    flags = np.array(history.flags(0, n)) if _is_file(history) else np.zeros(n, np.int64)
    extractor = MarketFeatureExtractor(stale_after)
    return extractor.step(times, flags, price, **columns), extractor


def _is_file(history: Any) -> bool:
    """Whether a history is a file as load_market reads it, which vouches for its levels of price."""
    return (
        hasattr(history, "columns") and callable(getattr(history, "flags", None)) and not _is_table(history)
    )


def _is_table(history: Any) -> bool:
    """Whether a history is a mapping of columns by name, such as a dictionary or a data frame."""
    return hasattr(history, "keys") and getattr(history, "ndim", 2) == 2


def _columns(history: Any) -> dict[str, Any]:
    """The columns of a history by name, as arrays of their own; price is among them."""
    if _is_table(history):
        given = {str(name): history[name] for name in history.keys()}  # noqa: SIM118 (a frame iterates otherwise)
    else:
        source = history.columns if _is_file(history) else history
        if hasattr(source, "ts") and hasattr(source, "price"):
            given = {name: getattr(source, name, None) for name in _KNOWN}
        elif isinstance(history, Sequence | np.ndarray) or hasattr(history, "__array__"):
            given = {"price": history}
        else:
            raise WindvaneError(f"the history is {type(history).__name__}: {_FORMS}")
    odd = [name for name in given if name not in (*_KNOWN, *_PASSED_OVER)]
    if odd:
        raise WindvaneError(f"the history has a column {odd[0]!r}, which nothing reads: {_FORMS}")
    if given.get("price") is None:
        raise WindvaneError(f"the history has no column price: {_FORMS}")
    return {
        name: _times(column) if name == "ts" else _numbers(name, column)
        for name, column in given.items()
        if column is not None and name in _KNOWN
    }


def _numbers(name: str, column: Any) -> Floats:
    """A column as a new array (n,) of float64."""
    try:
        values = np.array(column, np.float64)
    except (TypeError, ValueError):
        raise WindvaneError(f"{name} of the history is not all numbers: {_FORMS}") from None
    if values.ndim != 1:
        raise WindvaneError(f"{name} of the history has shape {values.shape}: {_FORMS}")
    return values


def _times(column: Any) -> Ints:
    """Times as a new array (n,) of UNIX ns."""
    values = np.array(column)
    if values.dtype.kind == "M":
        values = values.astype("datetime64[ns]").astype(np.int64)
    if values.dtype.kind not in "iu" or values.ndim != 1:
        raise WindvaneError("ts of the history is not (n,) whole numbers: give UNIX ns, or datetime64")
    return values.astype(np.int64)
