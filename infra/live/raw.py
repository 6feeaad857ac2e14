"""The frames of a session as the exchange sent them, kept so that what happened can be served again."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Protocol, runtime_checkable

from windvane.infra.feeds.errors import FeedError
from windvane.infra.feeds.feed import Feed, Market
from windvane.infra.feeds.recording import Head, Recorder


@runtime_checkable
class Recordable(Protocol):
    """What a feed has besides `Feed` where it reads frames itself."""

    def record(self, frame: Callable[[bytes, int], None]) -> None:
        """Call `frame` from now on with every frame, and this machine's clock in ns."""
        ...


def recordable(feed: Feed) -> Recordable:
    """The feed, whose frames can be recorded; raises FeedError where they cannot."""
    if isinstance(feed, Recordable):
        return feed
    raise FeedError("--record-raw keeps the frames of binance and binanceusdm alone: leave it out")


def recorder(feed: Feed, market: Market, out: Path, most_bytes: int) -> Recorder:
    """Begin to record an open feed into the next free OUT/raw/NUMBER.jsonl.gz; `windvane exchange` serves it."""
    folder = out / "raw"
    folder.mkdir(parents=True, exist_ok=True)
    path = next(path for n in count(1) if not (path := folder / f"{n:04d}.jsonl.gz").exists())
    head = Head(market.exchange, market.native, market.base, market.quote, feed.offset)
    recording = Recorder(path, head, most_bytes)
    recordable(feed).record(recording.frame)
    return recording
