"""An ensemble that was warmed up on a history goes on where one that was stepped through it stands."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from windvane.infra.files.market_data import load_market
from windvane.metamodel.base.arrays import arrays
from windvane.metamodel.base.config import Costs, default_stale_after
from windvane.metamodel.features.extractor import WARMUP, FeatureRows, MarketFeatureExtractor
from windvane.metamodel.settings.presets import made
from windvane.metamodel.simulation.market import BAR, SimulatedMarket, simulate
from windvane.metamodel.trader.trader import MetaLearningRiskManagedEnsemble

ROWS, HISTORY = 1100, 900
CONFIG = made().trading(interval=BAR, stale_after=default_stale_after(BAR), costs=Costs(delay=1))
COLUMNS = ("size", "bid", "ask", "bid_size", "ask_size", "buy_size")
LIVE = ("seq", "ts", "regime", "regime_confidence", "regime_stability", "agent_targets", "warming_up")


def fresh() -> MetaLearningRiskManagedEnsemble:
    return MetaLearningRiskManagedEnsemble(CONFIG)


def market() -> SimulatedMarket:
    return simulate("standard", ROWS, 3)


def features() -> FeatureRows:
    m = market()
    extractor = MarketFeatureExtractor(CONFIG.stale_after)
    optional = {name: getattr(m, name) for name in COLUMNS}
    return extractor.step(m.ts, np.zeros(ROWS, np.int64), m.price, **optional)


def first(rows: int) -> dict[str, np.ndarray]:
    m = market()
    return {name: getattr(m, name)[:rows] for name in ("ts", "price", *COLUMNS)}


def ask(whole: MetaLearningRiskManagedEnsemble, rows: FeatureRows, t: int) -> dict[str, Any]:
    return whole.get_trading_action(
        rows.x[t], rows.price[t], rows.size[t], ts=int(rows.ts[t]), bid=rows.bid[t], ask=rows.ask[t]
    )[1]


def stepped(stop: int) -> MetaLearningRiskManagedEnsemble:
    whole, rows = fresh(), features()
    for t in range(stop):
        ask(whole, rows, t)
    return whole


def seen(whole: MetaLearningRiskManagedEnsemble) -> dict[str, bytes]:
    """All that agents, classifier and the scoring of agents remember."""
    desk = whole.desk
    state = {f"regime.{name}": value.tobytes() for name, value in desk.classifier.state().items()}
    for name, wrapper in desk.wrappers.items():
        state |= {f"{name}.{part}": value.tobytes() for part, value in wrapper.state().items()}
    return state


def learned(whole: MetaLearningRiskManagedEnsemble, *parts: str) -> dict[str, bytes]:
    learner = whole.manager.learner
    return {name: value.tobytes() for part in parts for name, value in arrays(getattr(learner, part)).items()}


@pytest.mark.parametrize("learn", [False, True])
def test_it_sees_what_one_sees_that_was_stepped_through_all_rows(learn: bool) -> None:
    warmed, other, rows = fresh(), stepped(HISTORY), features()
    extractor = warmed.warm_up(first(HISTORY), learn=learn)
    assert extractor is not None
    assert seen(warmed) == seen(other)
    m = market()
    for t in range(HISTORY, HISTORY + 20):
        one = extractor.step(
            m.ts[t : t + 1],
            np.zeros(1, np.int64),
            m.price[t : t + 1],
            **{name: getattr(m, name)[t : t + 1] for name in COLUMNS},
        )
        assert one.x.tobytes() == rows.x[t : t + 1].tobytes()
        found, right = ask(warmed, rows, t), ask(other, rows, t)
        assert {name: found[name] for name in LIVE} == {name: right[name] for name in LIVE}
        assert found["seq"] == t
        if learn:
            assert found["wanted"] == right["wanted"]
            assert found["agent_weights"] == right["agent_weights"]
    assert seen(warmed) == seen(other)


def test_learning_on_history_is_the_learning_of_a_backtest() -> None:
    warmed, other = fresh(), stepped(HISTORY)
    warmed.warm_up(first(HISTORY), learn=True)
    assert learned(warmed, "learned", "memory") == learned(other, "learned", "memory")
    assert [list(map(bytes, kept)) for kept in warmed.desk.data] == [
        list(map(bytes, kept)) for kept in other.desk.data
    ]
    assert [w.get_performance_metrics() for w in warmed.desk.wrappers.values()] == [
        w.get_performance_metrics() for w in other.desk.wrappers.values()
    ]


def test_without_learning_a_model_begins_as_it_was_saved() -> None:
    """As after the pipeline's own warm-up: 512 rows that are stepped through leave the same."""
    warmed, other = fresh(), stepped(WARMUP)
    before = learned(warmed, "learned")
    warmed.warm_up(first(WARMUP))
    assert learned(warmed, "learned") == learned(other, "learned")
    assert learned(warmed, "memory") == learned(other, "memory")
    assert warmed.state().keys() == other.state().keys()
    apart = {
        name for name, value in warmed.state().items() if value.tobytes() != other.state()[name].tobytes()
    }
    assert apart <= {"clock.day_rows"}, "the statement of the day counts what was traded"
    long = fresh()
    long.warm_up(first(HISTORY))
    drift = {name for name, value in learned(long, "learned").items() if value != before[name]}
    assert drift <= {"weights"}
    assert not long.desk.data.market_features


@pytest.mark.parametrize("learn", [False, True])
def test_nothing_was_at_stake_and_the_first_call_may_trade(learn: bool) -> None:
    whole, rows = fresh(), features()
    whole.warm_up(first(HISTORY), learn=learn)
    summary = whole.get_performance_summary()
    assert (summary["total_trades"], summary["total_return"], summary["max_drawdown"]) == (0, 0.0, 0.0)
    assert (summary["decisions"], summary["decisions_kept"], summary["recent_days"]) == (0, 0, 0)
    assert np.isnan(summary["recent_sharpe"])
    state = whole.state()
    assert (state["account.equity"] == CONFIG.capital).all()
    assert (state["account.cash"] == CONFIG.capital).all()
    for name in ("lots", "flying", "fees", "turnover", "fills", "exposed", "drawdown"):
        assert not state[f"account.{name}"].any(), name
    for name in (
        "state",
        "halted_by",
        "halts",
        "flattening",
        "restricted",
        "peak",
        "day_start",
        "day_turnover",
    ):
        assert not state[f"standing.{name}"].any(), name
    assert whole.close() is None
    answers = [ask(whole, rows, t) for t in range(HISTORY, ROWS)]
    assert not answers[0]["warming_up"]
    assert answers[0]["equity"] == CONFIG.capital
    assert any(answer["order_qty"] != 0.0 for answer in answers[:3])
    assert whole.fills > 0


def forms(folder: Path) -> dict[str, Any]:
    import pandas as pd

    m = market()
    path = folder / "market.csv"
    frame = pd.DataFrame({name: getattr(m, name) for name in ("ts", "price", *COLUMNS)})
    frame.to_csv(path, index=False)
    return {
        "market": m,
        "columns": {name: getattr(m, name) for name in ("ts", "price", *COLUMNS)},
        "frame": frame,
        "frame with datetimes": frame.assign(ts=pd.to_datetime(frame.ts)),
        "features": features(),
        "file": load_market(path),
    }


def test_every_form_of_a_history_is_the_same_history(tmp_path: Path) -> None:
    found = {}
    for name, history in forms(tmp_path).items():
        whole = fresh()
        extractor = whole.warm_up(history)
        assert (extractor is None) == (name == "features")
        found[name] = seen(whole)
    assert all(one == found["market"] for one in found.values())


def test_prices_alone_are_one_bar_apart() -> None:
    price = market().price
    found = []
    for history in (price, price.tolist(), {"price": price, "ts": market().ts}):
        whole = fresh()
        whole.warm_up(history)
        found.append(seen(whole))
        assert whole.get_trading_action(np.zeros(50), price[-1])[1]["ts"] == market().ts[-1] + BAR
    assert found[0] == found[1] == found[2]


def test_the_first_row_rejected_shows_the_account_as_it_is() -> None:
    whole, rows = fresh(), features()
    whole.warm_up(first(HISTORY))
    before = seen(whole)
    for state, price in (
        (np.full(50, np.nan), rows.price[HISTORY]),
        (rows.x[HISTORY], 3.0 * rows.price[HISTORY]),
    ):
        action, why = whole.get_trading_action(state, price)
        assert (action, why["rejected"], why["equity"], why["seq"]) == (1, True, CONFIG.capital, HISTORY - 1)
        assert why["regime"] == whole.get_regime_info()["current_regime"]
    assert seen(whole) == before
    assert not ask(whole, rows, HISTORY)["rejected"]


def test_a_history_is_cut_into_batches_without_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, parts = fresh(), fresh()
    whole.warm_up(first(HISTORY), learn=True)
    monkeypatch.setattr("windvane.metamodel.trader.trader._BATCH", 97)
    parts.warm_up(first(HISTORY), learn=True)
    assert seen(whole) == seen(parts)
    assert all(
        a.tobytes() == b.tobytes()
        for a, b in zip(whole.state().values(), parts.state().values(), strict=True)
    )


M = simulate("standard", 600, 1)


@pytest.mark.parametrize(
    ("history", "said"),
    [
        (M.price[:511], "has 511 rows, 511 of them good .* give 512"),
        ({"price": np.where(np.arange(600) < 100, -1.0, M.price)}, "600 rows, 500 of them good"),
        ({"ts": M.ts * 100, "price": M.price}, "good and less than .* s apart"),
        ({"price": M.price, "prise": M.price}, "has a column 'prise', which nothing reads: give prices"),
        ({"ts": M.ts}, "no column price"),
        ({"ts": M.ts[:-1], "price": M.price}, "600 prices and 599 values of ts"),
        ({"ts": M.ts.astype(float), "price": M.price}, "give UNIX ns"),
        (np.zeros((600, 50)), r"price of the history has shape \(600, 50\)"),
        (np.zeros(0), "has no row"),
        (["a"] * 600, "not all numbers"),
        ("market.csv", "is not all numbers|has shape|history is str"),
        (3.0, "the history is float: give prices"),
        (None, "the history is NoneType: give prices"),
    ],
)
def test_anything_else_is_refused_and_moves_nothing(history: Any, said: str) -> None:
    whole = fresh()
    before = seen(whole)
    with pytest.raises(ValueError, match=said) as refused:
        whole.warm_up(history)
    assert "\n" not in str(refused.value)
    assert seen(whole) == before
    whole.warm_up(M)


def test_only_a_market_that_has_not_begun_is_warmed_up() -> None:
    whole, rows = fresh(), features()
    ask(whole, rows, 0)
    with pytest.raises(ValueError, match=r"has begun: .* call new_market\(\) first"):
        whole.warm_up(M)
    whole.new_market()
    whole.warm_up(M)
    with pytest.raises(ValueError, match="has begun"):
        whole.warm_up(M)
    whole.rest()  # a trainer's episode is over, so what comes is another market
    whole.warm_up(M)
    assert whole.desk.seq == 600


def test_decisions_of_a_listener_are_those_that_were_taken() -> None:
    whole, rows, heard = fresh(), features(), list[Any]()
    whole.listen(heard.append)
    whole.warm_up(first(HISTORY))
    for t in range(HISTORY, HISTORY + 5):
        whole.preview(rows.x[t], rows.price[t])
        ask(whole, rows, t)
    assert [one.seq for one in heard] == list(range(HISTORY, HISTORY + 5))
    assert all(b.ts > a.ts for a, b in pairwise(heard))
    whole.listen(None)
    ask(whole, rows, HISTORY + 5)
    assert len(heard) == 5
