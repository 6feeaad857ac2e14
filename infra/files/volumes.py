"""Which of several columns of volumes counts the coin: another one is that times a price."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from windvane.infra.files.names import ALIASES, plain_name
from windvane.infra.files.tables import Table
from windvane.infra.files.timestamps import plain_column
from windvane.infra.files.values import comma_of, numbers

_VOLUMES = (
    *ALIASES["size"],
    "turnover",
    "quote_volume",
    "volume_quote",
    "volume_usd",
    "volumeto",
    "value",
    "cost",
)
_SAMPLE = 2_000
_NEARLY = 0.9
_WIDE = 0.1
"""Share of the close that the average price of a bar may differ from it."""


def coin_volume(table: Table, roles: Mapping[str, int]) -> int | None:
    """The column of the size, where that which is named as such is turnover; None where it is not."""
    price = roles.get("close", roles.get("price"))
    if table.names is None or "size" not in roles or price is None:
        return None
    plain = [plain_name(name) for name in table.names]
    others = [k for k, name in enumerate(plain) if name in _VOLUMES and k not in roles.values()]
    if not others:
        return None
    sample = {k: plain_column(table.columns[k].slice(0, _SAMPLE)) for k in (price, roles["size"], *others)}
    values = {k: numbers(column, comma_of(column)) for k, column in sample.items()}
    for k in others:
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = values[roles["size"]] / values[k] / values[price]
        sound = np.isfinite(ratio)
        if sound.sum() * 2 > len(ratio) and (np.abs(ratio[sound] - 1) < _WIDE).mean() > _NEARLY:
            return k
    return None
