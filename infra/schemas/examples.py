"""An example of every type of message: one row of fixed, plausible numbers, equal on every machine."""

from base64 import b64encode
from hashlib import sha256
from typing import Any

import msgspec
import numpy as np
import orjson

from windvane.infra.schemas.notes import is_whole, note_of
from windvane.metamodel.base.config import TradingConfig, digest
from windvane.metamodel.features.extractor import NAMES
from windvane.metamodel.learning.members import MEMBERS
from windvane.streams.codec import to_json
from windvane.streams.events import Event

_TS = 1_706_745_600_000_000_000
_CONFIG = TradingConfig(symbol="BTCUSD", interval=900_000_000_000, agents=("vol_trend", "buy_and_hold"))
_WIDTHS = {"x": len(NAMES), "regime": 7, "members": len(MEMBERS), "member_targets": len(MEMBERS)}
_PLAIN: dict[str, Any] = {
    "book": "main",
    "config": _CONFIG,
    "digest": digest(_CONFIG),
    "agents": _CONFIG.agents,
    "accounts": ("ensemble", "equal_weights"),
    "versions": ("1", "1"),
    "last": 4095,
    "version": 1,
    "trained_at": 1600,
    "effective_from": 1632,
    "outcome": "kept",
    "samples": 1088,
    "scores": (0.25, -0.125),
    "number": 1,
    "action": "halt",
    "source": "ticks, partition 0, offset 17",
    "reason": "not an event: JSON is malformed",
    "payload": "garbage",
    "time": "2024-02-01T00:00:00.000000000Z",
    "symbol": "BTCUSD",
    "side": "buy",
    "qty": 0.5,
    "price": 42580.5,
    "reduce_only": False,
    "target_after": 0.75,
    "seq": 1700,
    "order_seq": 1699,
    "ts": _TS,
    "valid_until": _TS + 900_000_000_000,
    "order_id": "main.1699.order",
    "fee": 2.129025,
    "mid": 42580.5,
    "bid": 42580.0,
    "ask": 42581.0,
    "size": 1.5,
    "bid_size": 2.0,
    "ask_size": 2.5,
    "buy_size": 0.75,
    "confidence": 0.5,
    "target": 0.75,
    "wanted": 0.75,
    "weights": 0.5,
    "equity": 1_000_125.5,
    "equities": 1_000_125.5,
    "day": 19753,
}
_OF_KIND: dict[tuple[str, str], Any] = {
    ("Order", "id"): "main.1700.order",
    ("Order", "reason"): "rebalance",
    ("Fill", "id"): "main.1700.fill",
    ("Control", "reason"): "maintenance",
    ("Control", "signature"): "6f" * 32,
    ("LearnerUpdate", "weights"): "",
    ("Model", "sha256"): sha256(b"weights").hexdigest(),
    ("Model", "weights"): b64encode(b"weights").decode(),
    ("Model", "signature"): "6f" * 32,
}
_SHORT: dict[str, dict[str, Any]] = {
    "BookOpened": {
        "type": "BookOpened",
        "book": "live",
        "config": {
            "agents": ["vol_trend", "buy_and_hold"],
            "closing": "timed",
            "interval": 60_000_000_000,
            "limits": {"price_collar": 0.5, "max_drawdown": 0.25},
        },
    },
    "Ticks": {
        "type": "Ticks",
        "book": "live",
        "seq": [0, 1],
        "ts": ["1706745600000000000", "1706745660000000000"],
        "flags": [0, 0],
        "price": [42580.5, 42581],
    },
}
"""What suffices of who feeds a book."""


def examples(kind: type[msgspec.Struct]) -> list[Any]:
    """Return examples of a message of type `kind`: whole, and as short as a feed may write it."""
    short = _SHORT.get(kind.__name__)
    return [example(kind), *([] if short is None else [short])]


def example(kind: type[msgspec.Struct]) -> Any:
    """Return an example of a message of type `kind`, as the values that its JSON decodes to."""
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        name = field.name
        value = _OF_KIND.get((kind.__name__, name), _PLAIN.get(name))
        shape = note_of(field.type).shape
        if shape:
            whole = is_whole(field.type)
            size = (1,) if len(shape) == 1 else (1, _WIDTHS.get(name, 2))
            values[name] = np.full(
                size, value if isinstance(value, int | float) else 0, np.int64 if whole else np.float64
            )
        elif value is not None:
            values[name] = value
    message = kind(**values)
    raw = to_json(message) if isinstance(message, Event) else msgspec.json.encode(message)
    return orjson.loads(raw)
