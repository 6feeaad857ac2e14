"""Row by row as a person trades: the decisions of the pipeline, to the last bit, and nothing that can be spoiled."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from windvane.metamodel.base.arrays import arrays
from windvane.metamodel.base.config import Costs, TradingConfig, default_stale_after, digest
from windvane.metamodel.base.limits import RiskLimits
from windvane.metamodel.base.rows import REPEATED
from windvane.metamodel.base.rows import WARMUP as WARMING
from windvane.metamodel.base.weights import WeightsError, from_bytes, to_bytes
from windvane.metamodel.features.extractor import WARMUP
from windvane.metamodel.learning import learned
from windvane.metamodel.learning.manager import MetaLearningEnsembleManager
from windvane.metamodel.settings.presets import made
from windvane.metamodel.simulation.market import BAR, simulate
from windvane.metamodel.simulation.trade_simulator import TradeSimulator
from windvane.metamodel.trader.trader import MetaLearningRiskManagedEnsemble
from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.events import BookClosed, BookOpened, Decisions, Event, Features, Orders, Ticks
from windvane.streams.topics import Topic

ROWS = 1000
CONFIG = made().trading(
    interval=BAR,
    stale_after=default_stale_after(BAR),
    costs=Costs(delay=2),
    limits=RiskLimits(max_turnover=6.0, volatility_target=0.6, max_drawdown=0.05),
)


def pipeline(config: TradingConfig) -> dict[type, list[Any]]:
    m, found = simulate("standard", ROWS, 3), dict[type, list[Any]]()
    spoilt = m.price.copy()
    spoilt[[700, 850]] = -1.0
    ts = m.ts.copy()
    ts[900:] += 20 * BAR  # a hole: the first row after it is not believed yet

    def listen(topic: Topic, event: Event) -> None:
        found.setdefault(type(event), []).append(event)

    runner = EmbeddedRunner(listen)
    runner.feed([BookOpened(book="b", config=config, digest=digest(config))])
    rows = Ticks(
        book="b",
        seq=np.arange(ROWS),
        ts=ts,
        flags=np.zeros(ROWS, np.int64),
        price=spoilt,
        size=m.size.copy(),
        bid=m.bid.copy(),
        ask=m.ask.copy(),
    )
    runner.feed([rows, BookClosed(book="b", last=ROWS - 1)])
    return {**found, Ticks: [rows]}


def test_row_by_row_gives_the_decisions_of_the_pipeline() -> None:
    found = pipeline(CONFIG)
    rows, x = found[Ticks][0], np.concatenate([f.x for f in found[Features]])
    flags = np.concatenate([f.flags for f in found[Features]])
    decisions: list[Decisions] = found[Decisions]
    target = np.concatenate([d.target for d in decisions])
    equity = np.concatenate([d.equity for d in decisions])
    ordered = dict.fromkeys(range(ROWS), 0.0)
    for orders in found[Orders]:
        ordered |= dict(zip(orders.seq.tolist(), orders.qty.tolist(), strict=True))
    whole = MetaLearningRiskManagedEnsemble(CONFIG)
    for t in range(ROWS):
        action, told = whole.get_trading_action(
            x[t], rows.price[t], rows.size[t], ts=int(rows.ts[t]), bid=rows.bid[t], ask=rows.ask[t]
        )
        assert (told["target"], told["equity"], told["order_qty"]) == (target[t], equity[t], ordered[t]), t
        assert action == 1 + np.sign(ordered[t])
        assert told["warming_up"] == (t < WARMUP)
        assert told["rejected"] == bool(flags[t] & REPEATED), t
    assert sum(value != 0.0 for value in ordered.values()) > 50


@pytest.mark.parametrize(
    ("price", "volume", "more"),
    [
        (float("nan"), 1.0, {}),
        (-1.0, 1.0, {}),
        (0.0, 1.0, {}),
        (100.0, float("inf"), {}),
        (100.0, -1.0, {}),
        (100.0, 1.0, {"bid": 101.0, "ask": 100.0}),
        (100.0, 1.0, {"ts": 5}),
    ],
)
def test_a_row_that_cannot_be_changes_nothing(price: float, volume: float, more: dict[str, Any]) -> None:
    whole = MetaLearningRiskManagedEnsemble(CONFIG)
    x = np.zeros(50)
    for t in range(5):
        whole.get_trading_action(x, 100.0 + t, 10.0)
    before = whole.manager.learner.memory.market.value.copy()
    action, told = whole.get_trading_action(x, price, volume, **more)
    assert action == 1
    assert told["rejected"]
    assert (whole.manager.learner.memory.market.value == before).all()
    assert not whole.get_trading_action(x, 106.0, 10.0)[1]["rejected"]


def test_a_bad_first_row_and_a_bad_state_are_survived() -> None:
    whole = MetaLearningRiskManagedEnsemble(CONFIG)
    assert whole.get_trading_action([float("nan")] * 50, 100.0)[1]["rejected"]
    assert not whole.get_trading_action([0.0] * 50, 100.0)[1]["rejected"]
    with pytest.raises(ValueError, match="give the 50 features"):
        whole.get_trading_action([0.0] * 49, 100.0)


def test_the_first_row_after_an_episode_begins_another_market() -> None:
    whole = MetaLearningRiskManagedEnsemble(CONFIG)
    whole.desk.play(TradeSimulator().episode(2).rows)
    trades, learnt = whole.fills, whole.manager.learner.learned.contextual.B.copy()
    whole.rest()
    assert whole.get_trading_action(np.zeros(50), 0.01)[1]["warming_up"]
    assert (learnt == whole.manager.learner.learned.contextual.B).all()
    summary = whole.get_performance_summary()
    assert trades > 0
    assert summary["total_trades"] == trades
    assert summary["total_return"] == 0.0


def trained() -> MetaLearningEnsembleManager:
    whole = MetaLearningRiskManagedEnsemble(CONFIG)
    whole.desk.play(TradeSimulator().episode(2).rows)
    return whole.manager


def test_what_was_learned_goes_from_one_learner_to_another() -> None:
    manager = trained()
    raw = learned.to_bytes(manager, {"why": "a test"})
    other = MetaLearningEnsembleManager(CONFIG.agents, CONFIG.weighing, delay=2)
    assert learned.load(other, raw)["why"] == "a test"
    assert learned.to_bytes(other, {"why": "a test"}) == raw
    assert other.learner.memory.market.seen[0] == 0  # the market stays where it was


def every(manager: MetaLearningEnsembleManager) -> dict[str, np.ndarray]:
    """The arrays of a learner that a book stores."""
    return arrays(manager.learner.learned) | arrays(manager.learner.memory)


def spoilt(kind: str) -> bytes:
    tensors, about = from_bytes(learned.to_bytes(trained(), {}))
    name = "contextual.B"
    if kind == "nan":
        tensors[name][0, 0] = np.nan
    elif kind == "shape":
        tensors[name] = tensors[name][:-1]
    elif kind == "missing":
        del tensors[name]
    elif kind == "more":
        tensors["odd"] = np.zeros(1)
    elif kind == "agents":
        about["agents"] = about["agents"].replace("vol_trend", "dqn")
    elif kind == "model":
        about["model"] = "regime"
    elif kind == "canary":
        tensors["contextual.P"][:] = 1e200
    return to_bytes(tensors, about)


@pytest.mark.parametrize("kind", ["nan", "shape", "missing", "more", "agents", "model", "canary"])
def test_what_does_not_pass_leaves_the_learner_as_it_was(kind: str) -> None:
    manager = trained()
    before = {name: value.copy() for name, value in every(manager).items()}
    with pytest.raises(WeightsError) as refused:
        learned.load(manager, spoilt(kind))
    assert "\n" not in str(refused.value)
    for name, value in every(manager).items():
        assert value.tobytes() == before[name].tobytes(), name


@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(1, 1499), max_size=6, unique=True))
def test_samples_and_records_do_not_depend_on_the_cut(cuts: list[int]) -> None:
    rows = TradeSimulator().episode(5).rows
    whole, parts = MetaLearningRiskManagedEnsemble(CONFIG), MetaLearningRiskManagedEnsemble(CONFIG)
    whole.desk.play(rows)
    edges = [0, *sorted(cuts), len(rows.ts)]
    for start, stop in pairwise(edges):
        parts.desk.play(type(rows)(*(column[start:stop] for column in rows)))
    for ours, theirs in zip(whole.desk.data, parts.desk.data, strict=True):
        assert np.array(ours).tobytes() == np.array(theirs).tobytes()
    assert whole.desk.tracker.decisions == parts.desk.tracker.decisions
    assert list(whole.desk.tracker.daily) == list(parts.desk.tracker.daily)
    assert whole.get_performance_summary() == parts.get_performance_summary()


def warm(rows: int = 800, level: float = 9000.0) -> tuple[MetaLearningRiskManagedEnsemble, Any]:
    """An ensemble that trades at 9,000 after so many rows, and the rows of its market."""
    found = TradeSimulator().episode(2).rows
    factor = level / found.mid[0]
    whole = MetaLearningRiskManagedEnsemble(CONFIG)
    for t in range(rows):
        whole.get_trading_action(found.x[t], found.price[t] * factor, found.size[t], ts=int(found.ts[t]))
    return whole, found._replace(price=found.price * factor)


def known(whole: MetaLearningRiskManagedEnsemble) -> dict[str, bytes]:
    """All that may move, as bytes."""
    state = {name: value.tobytes() for name, value in whole.state().items()}
    state |= {f"regime.{n}": v.tobytes() for n, v in whole.desk.classifier.state().items()}
    return state | {"summary": repr(whole.get_performance_summary()).encode()}


def test_probes_at_another_level_move_nothing() -> None:
    probed, rows = warm()
    plain, _ = warm()
    before = known(probed)
    draw = np.random.default_rng(1)
    for _ in range(100):
        action, why = probed.get_trading_action(draw.normal(size=50), 100.0, 1000.0)
        assert (action, why["rejected"], why["order_qty"]) == (1, True, 0.0)
        assert "new_market()" in why["reason"]
        assert why["equity"] > 5e5
    assert known(probed) == before
    for t in range(800, 1000):
        row = rows.x[t], rows.price[t], rows.size[t]
        assert probed.get_trading_action(*row) == plain.get_trading_action(*row)
    assert known(probed) == known(plain)


def test_new_market_is_how_another_series_begins() -> None:
    whole, rows = warm()
    learnt = whole.manager.learner.learned.contextual.B.copy()
    whole.new_market()
    action, why = whole.get_trading_action(rows.x[0], 100.0, 1.0)
    assert (action, why["rejected"], why["reason"], why["warming_up"]) == (1, False, "", True)
    assert why["equity"] == CONFIG.capital
    assert (learnt == whole.manager.learner.learned.contextual.B).all()


def test_during_the_warm_up_another_level_starts_the_series_anew() -> None:
    whole, rows = warm(300)
    for t in range(WARMUP + 1):
        _, why = whole.get_trading_action(rows.x[t], rows.price[t] / 90.0, rows.size[t])
        assert not why["rejected"]
        assert why["warming_up"] == (t < WARMUP)
        assert why["seq"] == t
        assert ("starts anew" in why["reason"]) == (t == 0)


def test_a_preview_is_what_would_be_done_and_does_nothing() -> None:
    whole, rows = warm()
    before = known(whole)
    for t in range(800, 830):
        row = rows.x[t], rows.price[t], rows.size[t]
        asked = whole.preview(*row)
        assert known(whole) == before
        assert whole.preview(rows.x[t], 1.0)[1]["rejected"]
        assert asked == whole.get_trading_action(*row)
        before = known(whole)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"price": float("nan")}, "cannot be"),
        ({"bid": 9001.0, "ask": 9000.0}, "the bid not above the ask"),
        ({"volume": -1.0}, "is no size"),
        ({"ts": 5}, "time goes back"),
    ],
)
def test_why_a_row_is_rejected(more: dict[str, Any], reason: str) -> None:
    whole, rows = warm(20)
    row = {"price": rows.price[20], "volume": 1.0} | more
    assert reason in whole.get_trading_action(rows.x[20], **row)[1]["reason"]
    why = MetaLearningRiskManagedEnsemble(CONFIG).get_trading_action([float("nan")] * 50, 100.0)[1]
    assert "no number" in why["reason"]
    assert why["equity"] == CONFIG.capital
    assert why["seq"] == -1


def test_a_row_from_the_future_does_not_stop_the_clock() -> None:
    whole, rows = warm()
    now = int(rows.ts[799])
    why = whole.get_trading_action(rows.x[800], rows.price[800], ts=now + 365 * 86_400 * 10**9)[1]
    assert "hole" in why["reason"]
    assert why["ts"] == now
    assert (
        whole.get_trading_action(rows.x[800], rows.price[800], ts=int(rows.ts[800]))[1]["ts"] == rows.ts[800]
    )


def stepped(whole: MetaLearningRiskManagedEnsemble) -> None:
    n, agents = 3, len(CONFIG.agents)
    whole.step(
        np.arange(n),
        np.arange(1, n + 1) * BAR,
        np.full(n, WARMING),
        np.zeros((n, 50)),
        np.full(n, 100.0),
        np.zeros((n, agents)),
        np.zeros((n, agents)),
    )


def test_one_market_is_moved_on_in_one_way() -> None:
    whole = MetaLearningRiskManagedEnsemble(CONFIG)
    whole.get_trading_action(np.zeros(50), 100.0)
    with pytest.raises(
        ValueError, match=r"moved on by get_trading_action, which step would spoil: .*new_market\(\)$"
    ):
        stepped(whole)
    whole.new_market()
    stepped(whole)
    before = known(whole)
    for ask in (whole.get_trading_action, whole.preview):
        with pytest.raises(ValueError, match="moved on by step, which get_trading_action would spoil"):
            ask(np.zeros(50), 100.0)
    assert known(whole) == before
    whole.new_market()
    assert whole.get_trading_action(np.zeros(50), 100.0)[1]["seq"] == 0
