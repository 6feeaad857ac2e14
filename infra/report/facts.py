"""Facts about a run that its events do not hold."""

from dataclasses import dataclass, field

from windvane.metamodel.base.config import TradingConfig


@dataclass(frozen=True, slots=True)
class Facts:
    """Where the data of a run came from and how long it took; the report reads everything else from the events.

    file: the name of the data; preset: the settings' name; members: the names of the members of the mixture, in the
    order of their weights. rejected: how many rows the reader of the file refused, by reason; notes: sentences about
    the data. pipeline_seconds: wall-clock time of the run; latency_us: {"p50": us, "p99": us} of a row through the
    pipeline, None where it was not measured. bars: what a row is, in words ("ticks", "1 min bars"). first_live:
    seq of the first row that counts, since those before it are history that a live book was warmed up with. title: the
    heading in the browser's tab. Raises ValueError for another `kind` than "real" and "simulated".
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
    first_live: int = 0
    title: str = "Windvane"

    def __post_init__(self) -> None:
        if self.kind not in ("real", "simulated"):
            raise ValueError(f"kind is {self.kind!r}: give 'real' or 'simulated'")

    @property
    def notice(self) -> str | None:
        """The warning that every output about simulated data carries; None where the data are real."""
        if self.kind == "real":
            return None
        return "SIMULATED data: these figures say how the program behaves, not what a market would have paid."
