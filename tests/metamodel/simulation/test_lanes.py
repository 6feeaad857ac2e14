"""Accounts on a tape: equal to a loop in plain Python, to the pipeline's account, and the same in any company."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from lane_reference import Reference, tape

from windvane.metamodel.base.config import ConfigError, Costs, TradingConfig
from windvane.metamodel.base.rows import WARMUP
from windvane.metamodel.simulation.lanes import Lanes
from windvane.metamodel.simulation.simulator_rules import ACTIONS, CAPITAL, LOT, REWARDS, SimulatorRules
from windvane.metamodel.simulation.tape import joined, part
from windvane.metamodel.trading.columns import Inputs
from windvane.metamodel.trading.ensemble import Ensemble

ROWS = 60

costs = some.builds(
    Costs,
    fee_bp=some.sampled_from([0.0, 1.0, 10.0]),
    slippage_bp=some.sampled_from([0.0, 2.0]),
    half_spread_bp=some.sampled_from([0.0, 3.0]),
    delay=some.integers(0, 3),
)
rules = some.builds(
    SimulatorRules,
    costs=costs,
    actions=some.sampled_from(ACTIONS),
    discrete=some.booleans(),
    max_position=some.sampled_from([1.0, 0.3]),
    min_order=some.sampled_from([0.0, 1e-3, 0.02]),
    stop_loss=some.sampled_from([0.0, 0.01, 0.05]),
    longest_hold=some.sampled_from([0, 1, 5]),
    reward=some.sampled_from(REWARDS),
    sees_position=some.booleans(),
)


def acts(rules: SimulatorRules, seed: int, *shape: int) -> np.ndarray:
    """Random actions, which rarely change."""
    draw = np.random.Generator(np.random.PCG64(seed))
    every = draw.integers(0, 3, shape).astype(float) if rules.discrete else draw.uniform(-1, 1, shape)
    if rules.discrete and rules.actions == "trade":
        every[draw.random(shape) < 0.6] = 1.0
    return every


@settings(max_examples=150, deadline=None)
@given(rules, some.integers(0, 2**20), some.booleans(), some.integers(0, 20))
def test_a_lane_is_the_loop_in_plain_python(
    rules: SimulatorRules, seed: int, quoted: bool, start: int
) -> None:
    rows = tape(seed, ROWS, quoted)
    lanes, slow = Lanes(rows, rules, 1, steps=ROWS), Reference(rows, rules, start, ROWS - 1)
    state = lanes.place(start, ROWS - 1)
    over = False
    for action in acts(rules, seed, ROWS - 1 - start):
        assert not over
        state, reward, over = lanes.step_one(float(action))
        wanted, done = slow.step(float(action))
        lane, held = lanes.lanes[0], lanes.accounts[0]
        assert (lane["at"], lane["position"], bool(lane["forced"]), over) == (
            slow.t,
            slow.position,
            slow.forced,
            done,
        )
        assert abs(int(held["lots"]) - slow.lots) <= 1, "whole lots, of which a rounding may move one"
        assert reward == pytest.approx(wanted, rel=1e-6, abs=1e-8)
        assert lane["paid"] == pytest.approx(slow.paid, rel=1e-6, abs=1e-10)
        assert state[:2].tolist() == [slow.t, rows.mid[slow.t]], "the state is of the row that is traded at"
        assert not rules.sees_position or state[2] == slow.position
    assert over


@settings(max_examples=40, deadline=None)
@given(rules, some.integers(0, 2**20), some.booleans())
def test_its_account_is_the_pipelines(given: SimulatorRules, seed: int, quoted: bool) -> None:
    """The book's account of a book with one agent, which wants the positions that a lane took, to the last bit."""
    rows, n = tape(seed, ROWS, quoted), ROWS
    lanes = Lanes(rows, given, 1, steps=n)
    lanes.place(0, n - 1)
    wanted, equity, paid = np.zeros(n), np.full(n, CAPITAL), np.zeros(n)
    for t, action in enumerate(acts(given, seed, n - 1)):
        lanes.step_one(float(action))
        wanted[t] = lanes.position[0] * given.max_position
        equity[t + 1], paid[t] = lanes.accounts[0]["equity"], lanes.lanes[0]["paid"]
    wanted[-1] = wanted[-2]

    config = TradingConfig(
        agents=("a",),
        capital=CAPITAL,
        lot=LOT,
        min_order=given.min_order,
        costs=given.costs,
        stale_after=10**15,
    )
    book = Ensemble(config)
    warm = Inputs.of(*_columns(4, np.full(4, rows.mid[0]), np.zeros(4), flags=WARMUP))
    book.step(warm)
    quotes = {"bid": rows.bid, "ask": rows.ask} if quoted else {}
    said = book.step(Inputs.of(*_columns(n, rows.mid, wanted, first=4), **quotes))
    alone = book.accounts.index("agent:a")
    ours = said.outputs.equities[:, alone]
    if given.costs.delay > 0:
        assert ours.tobytes() == equity.tobytes()
        assert book.state()["account.lots"][alone] == lanes.accounts[0]["lots"]
    else:  # the pipeline marks a row after its own fill
        assert ours[:-1] == pytest.approx((equity - CAPITAL * paid)[:-1], abs=1e-6)


def _columns(n: int, mid: np.ndarray, target: np.ndarray, first: int = 0, flags: int = 0) -> tuple[Any, ...]:
    at = np.arange(first, first + n)
    ones = np.ones((n, 1))
    return (
        at,
        (at + 1) * 10**9,
        np.full(n, flags),
        np.zeros((n, 50)),
        mid.copy(),
        target[:, None].copy(),
        ones,
    )


@settings(max_examples=30, deadline=None)
@given(rules, some.integers(0, 2**20), some.integers(2, 5))
def test_company_changes_nothing(rules: SimulatorRules, seed: int, count: int) -> None:
    """Each of several lanes does what it would do alone from the same row."""
    rows = joined([tape(seed, ROWS, True), tape(seed + 1, ROWS // 2, True)])
    many = Lanes(rows, rules, count, steps=9, seed=seed)
    many.reset()
    alone = [Lanes(rows, rules, 1, steps=9) for _ in range(count)]
    for action in acts(rules, seed, 25, count):
        before = many.lanes.copy()
        for k in range(count):
            if before[k]["at"] != alone[k].lanes[0]["at"] or before[k]["stop"] != alone[k].lanes[0]["stop"]:
                alone[k].place(int(before[k]["at"]), int(before[k]["stop"]))
        got = many.step(action)
        for k in range(count):
            state, reward, over = alone[k].step_one(float(action[k]))
            assert got.final[k].tobytes() == state.tobytes()
            assert (got.reward[k], got.ended[k]) == (reward, over)
            if over:
                assert many.lanes[k]["position"] == 0.0
                assert got.state[k, 1] == rows.mid[many.lanes[k]["at"]]
                alone[k].lanes[0]["at"] = -1


def test_episodes_start_everywhere_and_never_cross_into_another_market() -> None:
    rows = joined([tape(1, 30, True), tape(2, 12, True), tape(3, 5, True)])
    lanes = Lanes(rows, SimulatorRules(), 4000, steps=10, seed=3)
    lanes.reset()
    at, stop = lanes.lanes["at"], lanes.lanes["stop"]
    assert set(at) == {*range(20), 30, 31, 42}, (
        "a market that is too short for an episode is one, from its start"
    )
    assert all(stop == np.where(at < 42, at + 10, 46))
    again = Lanes(rows, SimulatorRules(), 4000, steps=10, seed=3)
    again.reset()
    assert (again.lanes["at"] == at).all()


def test_lanes_go_on_from_their_state() -> None:
    rules = SimulatorRules(costs=Costs(delay=2), reward="sharpe", stop_loss=0.02)
    lanes = Lanes(tape(5, 200, True), rules, 8, steps=20, seed=1)
    lanes.reset()
    actions = acts(rules, 2, 60, 8)
    for action in actions[:30]:
        lanes.step(action)
    other = Lanes(tape(5, 200, True), rules, 8, steps=20, seed=9)
    other.restore(lanes.state())
    for action in actions[30:]:
        one, two = lanes.step(action), other.step(action)
        assert all(a.tobytes() == b.tobytes() for a, b in zip(one, two, strict=True))


def test_what_is_no_tape_is_refused() -> None:
    rows = tape(1, 10, True)
    for bad, said in ((part(rows, 0, 1), "fewer than 2 rows"),):
        with pytest.raises(ConfigError, match=said):
            Lanes(bad, SimulatorRules(), 1, steps=5)
    with pytest.raises(ConfigError, match="1 or more"):
        Lanes(rows, SimulatorRules(), 0, steps=5)
    with pytest.raises(ConfigError, match="participation"):
        SimulatorRules(costs=Costs(participation=0.1))
