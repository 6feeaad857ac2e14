"""What a worker process knows of its own health: which partitions it has, whether they are caught up and still move."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

RECOVERING, WORKING, RESTARTING = "recovering", "working", "restarting"
"""What a partition does: reads what its state lacks, works, or waits to begin anew from its stored state."""

STUCK_SECONDS = 30.0
"""A partition that works and has not turned its loop for so long is stuck."""


@dataclass(slots=True)
class PartitionHealth:
    """One partition of this worker. Times are monotonic seconds."""

    phase: str = RECOVERING
    since: float = field(default_factory=time.monotonic)  # when the phase began
    turned: float = field(default_factory=time.monotonic)  # when its loop turned last
    committed: float | None = None  # when what it wrote was acknowledged last
    stored: float | None = None  # when its state was stored last
    lag: dict[str, int] = field(default_factory=dict)  # by topic, records that are not read yet

    def enter(self, phase: str) -> None:
        """Note the beginning of a phase."""
        self.phase, self.since = phase, time.monotonic()

    def trouble(self, now: float) -> str:
        """Why the partition does not do its work, "" where it does."""
        if self.phase != WORKING:
            return f"{self.phase} for {now - self.since:.0f} s"
        still = now - self.turned
        return f"has not moved for {still:.0f} s" if still > STUCK_SECONDS else ""


class Health:
    """The health of one worker process of a stage; its metrics note what happens."""

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self.partitions: dict[int, PartitionHealth] = {}
        self.listens = ""  # HOST:PORT of the metrics, "" where none are served
        self.spare = ""  # why the worker has no partition, "" where it has some or has not joined yet
        self.joined = False  # whether the group has told it its partitions

    def assigned(self, partitions: Iterable[int]) -> None:
        """Note the partitions that the group has given to this worker, which may be none."""
        self.joined, self.spare = True, ""
        for partition in partitions:
            self.partitions.setdefault(partition, PartitionHealth())

    def released(self, partition: int) -> None:
        """Forget a partition that another worker has now."""
        self.partitions.pop(partition, None)

    def report(self) -> tuple[bool, dict[str, Any]]:
        """Whether all is well, and what is known as JSON values. A spare worker is well."""
        now = time.monotonic()
        troubles = {p: said for p, one in sorted(self.partitions.items()) if (said := one.trouble(now))}
        well = self.joined and not troubles
        if not self.joined:
            text = "it has not joined its group yet"
        elif troubles:
            text = "; ".join(f"partition {partition} {said}" for partition, said in troubles.items())
        elif self.partitions:
            text = "caught up"
        else:
            text = self.spare or "no partition assigned"
        return well, {
            "well": well,
            "text": text,
            "stage": self.stage,
            "partitions": [self._told(p, one, now) for p, one in sorted(self.partitions.items())],
        }

    @staticmethod
    def _told(partition: int, one: PartitionHealth, now: float) -> dict[str, Any]:
        return {
            "partition": partition,
            "phase": one.phase,
            "caught_up": one.phase == WORKING,
            "lag": one.lag,
            "turned_age": round(now - one.turned, 3),
            "commit_age": None if one.committed is None else round(now - one.committed, 3),
            "stored_age": None if one.stored is None else round(now - one.stored, 3),
        }
