"""Faults: what the local exchange does wrong, and when."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal, get_args

import msgspec

from windvane.infra.feeds.errors import FeedError

What = Literal[
    "drop",
    "half-open",
    "refuse",
    "slam",
    "garbage",
    "lose",
    "duplicate",
    "reorder",
    "pause",
    "clock",
    "shutdown",
]
_LASTING = ("refuse", "slam", "duplicate", "reorder", "pause", "clock")


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of a script.

    at: seconds after the start, of a wall clock. do: drop: break all sockets. half-open: leave them open and send
    nothing more on them. refuse: answer `status` to REST, to handshakes or both (`where`), with Retry-After where
    `retry_after` is above 0. slam: accept sockets and close them at once. garbage: send `count` frames that are no
    JSON. lose: leave out the next `count` trades. duplicate: send every frame twice. reorder: swap neighbours. pause:
    send nothing, then all of it at once. clock: answer the time `seconds` off. shutdown: announce the end of all
    sockets, and end them after `lasts` seconds. lasts: seconds, for what lasts.
    """

    at: float
    do: What
    lasts: float = 1.0
    count: int = 1
    status: int = 503
    where: Literal["rest", "sockets", "both"] = "both"
    retry_after: int = 0
    seconds: float = 0.0

    @property
    def lasts_on(self) -> bool:
        """Whether it lasts, in place of happening at a moment."""
        return self.do in _LASTING

    def active(self, now: float) -> bool:
        """Whether it lasts at `now` seconds after the start."""
        return self.at <= now < self.at + self.lasts


@dataclass
class Faults:
    """A script in its course; seconds are counted from `start`."""

    script: tuple[Fault, ...] = ()

    def __post_init__(self) -> None:
        self.begin = time.monotonic()
        self.lasting = [fault for fault in self.script if fault.lasts_on]

    def start(self) -> None:
        """The exchange is up: the script begins."""
        self.begin = time.monotonic()

    def now(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.begin

    def active(self, do: What) -> Fault | None:
        """The fault of a kind that lasts now."""
        if not self.lasting:
            return None
        now = self.now()
        return next((fault for fault in self.lasting if fault.do == do and fault.active(now)), None)

    def moments(self) -> Iterator[Fault]:
        """Faults that happen at a moment, by time."""
        yield from sorted((f for f in self.script if not f.lasts_on), key=lambda fault: fault.at)


def parse(text: str) -> Faults:
    """Faults of a file of JSON lines, or, of `seed:NUMBER`, some drawn at random; raises FeedError where neither."""
    if text.startswith("seed:"):
        number = text.removeprefix("seed:")
        if not number.isdecimal():
            raise FeedError(f"--faults is {text!r}: give seed: and a whole number, or a file")
        return Faults(tuple(drawn(int(number))))
    path = Path(text)
    if not path.is_file():
        raise FeedError(
            f"--faults is {text!r}, which is no file: give JSON lines, or seed:7 for faults at random"
        )
    script = []
    for n, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            try:
                script.append(msgspec.json.decode(line, type=Fault))
            except msgspec.DecodeError as error:
                raise FeedError(
                    f"{path}, line {n}: {error}; write such as "
                    '{"at":5,"do":"drop"}, with do one of ' + ", ".join(get_args(What))
                ) from error
    return Faults(tuple(script))


def drawn(seed: int, hours: float = 12.0) -> Iterator[Fault]:
    """Faults at random, one every 5 to 40 seconds, the same for the same seed."""
    random = Random(seed)  # noqa: S311 - faults, no secret
    at = 5.0
    kinds: tuple[What, ...] = get_args(What)
    while at < hours * 3600.0:
        do = random.choice([kind for kind in kinds if kind != "clock"])
        yield Fault(
            at=round(at, 3),
            do=do,
            lasts=round(random.uniform(0.5, 4.0), 3),
            count=random.randint(1, 20),
            status=random.choice((418, 429, 500, 502, 503)),
            where=random.choice(("rest", "sockets", "both")),
            retry_after=random.choice((0, 1, 2)),
        )
        at += random.uniform(5.0, 40.0)
