"""What is known of a run besides its events."""

from dataclasses import dataclass, field

from windvane.metamodel.base.config import TradingConfig


@dataclass(frozen=True, slots=True)
class Facts:
    """Where the data came from and what the machine took; all else is read from the events.

    rejected: reason -> rows that the reader refused. latency_us: {"p50": us, "p99": us} of a row through the
    pipeline, or None where it was not measured. bars: what a row is, in words ("ticks", "1 min bars").
    """

    file: str
    kind: str  # "real" or "simulated"
    config: TradingConfig
    preset: str
    members: tuple[str, ...]
    rejected: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    pipeline_seconds: float = 0.0
    latency_us: dict[str, float] | None = None
    bars: str = "ticks"
    title: str = "Windvane"

    def __post_init__(self) -> None:
        if self.kind not in ("real", "simulated"):
            raise ValueError(f"kind is {self.kind!r}: give 'real' or 'simulated'")

    @property
    def notice(self) -> str | None:
        """What a reader of simulated figures must be told, or None."""
        if self.kind == "real":
            return None
        return "SIMULATED data: these figures say how the program behaves, not what a market would have paid."
