"""What report and metrics.json say of confidence, computed again row by row from what stands in the events."""

import math
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from outputs_events import FACTS, rounds, run

from simulated_book import config, opening, spoil, ticks
from windvane.infra.report import write_outputs
from windvane.infra.report.confidence import ConfidenceTally
from windvane.infra.report.facts import Facts
from windvane.metamodel.base.config import TradingConfig
from windvane.metamodel.learning.members import MEMBERS
from windvane.streams import events as ev
from windvane.streams.embedded import EmbeddedRunner

ROWS = 2_500


def played(settings: TradingConfig, rows: ev.Ticks) -> list[ev.Event]:
    seen: list[ev.Event] = []
    EmbeddedRunner(lambda topic, event: seen.append(event)).feed(
        [opening(settings), rows, ev.BookClosed(book="book", last=len(rows) - 1)]
    )
    return seen


def slowly(settings: TradingConfig, events: list[ev.Event], first_live: int = 0) -> dict[str, list[Any]]:
    """By agent (forecast, outcome) of every proposal whose future is known, in order."""
    said = ev.join([e for e in events if isinstance(e, ev.Proposals)])
    seen = ev.join([e for e in events if isinstance(e, ev.Features)])
    good = [t for t in range(len(seen)) if not seen.flags[t] & ev.REPEATED]
    level, path, cost = 0.0, [], []
    for k, t in enumerate(good):
        if k and not seen.flags[t] & ev.STRAY:
            level += math.log(seen.mid[t] / seen.mid[good[k - 1]])
        path.append(level)
        half = settings.costs.half_spread_bp * 1e-4
        if seen.bid is not None and seen.ask is not None:
            half = (seen.ask[t] - seen.bid[t]) / (2.0 * seen.mid[t])
        cost.append(half + (settings.costs.fee_bp + settings.costs.slippage_bp) * 1e-4)
    out: dict[str, list[Any]] = {name: [] for name in settings.agents}
    delay = settings.costs.delay
    for i, name in enumerate(settings.agents):
        before = 0.0
        for k, t in enumerate(good):
            target = said.target[t, i]
            change, before = abs(target - before), target
            judged = target and not seen.flags[t] & ev.WARMUP and k + delay + 32 < len(good)
            if judged and seen.seq[t] >= first_live:
                gain = target * (path[k + delay + 32] - path[k + delay]) - change * cost[k + delay]
                out[name].append((said.confidence[t, i], float(gain > 0.0)))
    return out


@pytest.mark.parametrize("first_live", [0, 1_300])
@pytest.mark.parametrize("bare", [False, True])
def test_metrics_are_those_of_every_row(tmp_path: Path, first_live: int, bare: bool) -> None:
    settings = config()
    rows = spoil(ticks(ROWS, 4))
    if bare:
        rows = msgspec.structs.replace(rows, bid=None, ask=None, bid_size=None, ask_size=None)
    events = played(settings, rows)
    facts = Facts(
        file="a", kind="simulated", config=settings, preset="balanced", members=MEMBERS, first_live=first_live
    )
    found = write_outputs(events, tmp_path, facts)["confidence"]
    wanted = slowly(settings, events, first_live)
    assert found["horizon"] == 32
    for name, one in [*found["agents"].items(), ("", found)]:
        pairs = np.array(wanted[name] if name else [p for some in wanted.values() for p in some])
        p, y = pairs.T
        assert one["rows"] == len(pairs)
        assert one["brier"] == pytest.approx(((p - y) ** 2).mean(), abs=1e-12)
        assert one["base_rate"] == pytest.approx(y.mean(), abs=1e-12)
        assert one["base_rate_brier"] == pytest.approx(y.mean() * (1.0 - y.mean()), abs=1e-12)
        bins = one["reliability"]
        assert sum(b["rows"] for b in bins) == len(pairs)
        assert sum(b["rows"] * b["p"] for b in bins) == pytest.approx(p.sum())
        assert sum(b["rows"] * b["frequency"] for b in bins) == pytest.approx(y.sum())
        assert [b["p"] for b in bins] == sorted(b["p"] for b in bins)
    assert 8 <= len(found["reliability"]) <= 10
    page = (tmp_path / "report.html").read_text()
    assert "<h2>Confidence</h2>" in page
    assert '"reliability":{"data"' in page


@pytest.mark.parametrize("size", [1, 37, 999])
def test_how_events_are_cut_changes_no_count(size: int) -> None:
    settings = config()
    events = played(settings, ticks(1_200, 5))
    told = []
    for cut in (10_000, size):
        tally = ConfidenceTally(settings)
        for event in events:
            if isinstance(event, ev.Ticks | ev.Proposals):
                for at in range(0, len(event), cut):
                    piece = ev.cut(event, at, min(at + cut, len(event)))
                    (tally.ticks if isinstance(piece, ev.Ticks) else tally.proposals)(piece)  # type: ignore[operator]
        for event in events:
            if isinstance(event, ev.Decisions):
                for at in range(0, len(event), cut):
                    tally.decisions(ev.cut(event, at, min(at + cut, len(event))))
        told.append(tally.figures())
    for name, one in told[0]["agents"].items():
        other = told[1]["agents"][name]
        assert (one["rows"], one["base_rate"]) == (other["rows"], other["base_rate"])
        assert one["brier"] == pytest.approx(other["brier"], abs=1e-12)


def test_an_agent_that_takes_no_part_is_not_scored_and_its_target_stands() -> None:
    settings = config(agents=("vol_trend", "buy_and_hold"))
    events = played(settings, ticks(1_200, 6))
    decided = ev.join([e for e in events if isinstance(e, ev.Decisions)])
    awake = np.ones((len(decided), 2), np.int64)
    awake[700:800, 1] = 0
    whole, part = ConfidenceTally(settings), ConfidenceTally(settings)
    for tally, rows in ((whole, decided), (part, msgspec.structs.replace(decided, awake=awake))):
        for event in events:
            if isinstance(event, ev.Proposals):
                tally.proposals(event)
                tally.proposals(event)  # the first answer counts
        tally.decisions(rows)
    one, other = whole.figures()["agents"], part.figures()["agents"]
    assert one["vol_trend"] == other["vol_trend"]
    assert other["buy_and_hold"]["rows"] == one["buy_and_hold"]["rows"] - 100


def test_a_run_without_proposals_says_nothing(tmp_path: Path) -> None:
    """As of a journal of an older release, which kept none."""
    found = write_outputs(run(rounds(300, 20)), tmp_path, FACTS)["confidence"]
    assert (found["rows"], found["brier"], found["base_rate"], found["reliability"]) == (0, None, None, [])
    assert "<h2>Confidence</h2>" not in (tmp_path / "report.html").read_text()
