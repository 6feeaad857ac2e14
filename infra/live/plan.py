"""What a live session is to run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from windvane.agents.roster import Bindings
from windvane.infra.feeds.feed import Market
from windvane.infra.live.history import Wanted
from windvane.metamodel.base.config import TradingConfig
from windvane.streams.events import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePlan:
    """What to run. key: what must be the same for a session to go on in the same folder, as JSON values."""

    book: str
    key: dict[str, Any]
    interval: int  # ns of a bar, 0: a row a trade
    bars: str  # what a row is, in words
    preset: str
    configure: Callable[[Market, float], TradingConfig]  # of what the exchange says, and a price
    seconds: float | None = None  # after which it ends, None: never
    snapshot_seconds: float = 5.0
    keep_days: int = 0  # files of days that are over, 0: all
    record_bytes: int = 0  # of frames as they came, 0: none
    warmup: Wanted | None = None  # the history that comes before the first live row
    watch: Callable[[Event], None] | None = None  # gets every event of the pipeline, to show it
    bindings: Bindings = field(default_factory=dict)  # what makes the agents that are not built in
