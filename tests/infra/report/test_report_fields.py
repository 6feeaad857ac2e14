"""No field of metrics.json is decoration: each is another one in another run, or is listed with the reason."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from retrained_book import FakeTrainer
from simulated_book import config, full_book, opening, ticks
from windvane.infra.report import write_outputs
from windvane.infra.report.facts import Facts
from windvane.metamodel.base.config import TradingConfig, WeighingConfig
from windvane.metamodel.base.limits import RiskLimits
from windvane.metamodel.learning.members import MEMBERS
from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.events import BookClosed, Event

SAME = {
    "rows.benched": "no stage benches an agent yet",
    "rows.other_level": "only the reader of a file vouches for another level: test_levels.py",
    "confidence.horizon": "how long every proposal is judged",
    "gain.block_days": "how the interval is made",
    "gain.draws": "how the interval is made",
    "regime": "only a backtest of a simulated file knows the truth: test_regime_outputs.py",
}
"""Fields that do not move here, and why."""


def leaves(part: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(part, dict) and part:
        for name, value in part.items():
            yield from leaves(value, f"{path}.{name}" if path else name)
    else:
        yield path, part


def told(
    folder: Path, settings: TradingConfig, events: list[Event], controls: list[Any], facts: dict[str, Any]
) -> dict[str, Any]:
    seen: list[Event] = []
    runner = EmbeddedRunner(lambda topic, event: seen.append(event), trainer=FakeTrainer())
    runner.feed(events[:1])
    runner.control(controls)
    runner.feed(events[1:])
    found = write_outputs(seen, folder, Facts(config=settings, members=MEMBERS, **facts))
    return dict(leaves({name: value for name, value in found.items() if name not in ("config", "agents")}))


class TestMetrics:
    def test_every_field_of_the_metrics_moves(self, tmp_path: Path) -> None:
        plain, full = (
            config(agents=("buy_and_hold", "jump_contrarian")),
            config(
                limits=RiskLimits(daily_loss=1e-3, max_turnover=1.0),
                weighing=WeighingConfig(meta_training_frequency=3, learner_lag=7, retraining=True),
                shadows=("s",),
                shadow_kinds=("vol_trend",),
            ),
        )
        one = told(
            tmp_path / "one",
            plain,
            [opening(plain), ticks(900), BookClosed(book="book", last=899)],
            [],
            {"file": "a", "kind": "simulated", "preset": "balanced"},
        )
        events, controls = full_book(6000)
        other = told(
            tmp_path / "other",
            full,
            [opening(full), *events[1:]],
            controls,
            {
                "file": "b",
                "kind": "real",
                "preset": "conservative",
                "bars": "1 min bars",
                "rejected": {"duplicate": 3},
                "notes": ["a note"],
                "pipeline_seconds": 2.0,
                "latency_us": {"p50": 1.0, "p99": 2.0},
            },
        )
        still = {name for name, value in one.items() if name in other and other[name] == value}
        assert still == set(SAME)
