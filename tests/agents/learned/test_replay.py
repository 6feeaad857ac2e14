"""Replay and its sum tree, beside the obvious ways to do the same."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from windvane.agents.learned.draws import generator, numbers_of, set_numbers
from windvane.agents.learned.replay import Replay
from windvane.agents.learned.sum_tree import find, new_tree, set_priorities
from windvane.agents.learned.transitions import Transition

GAMMA = 0.9


def story(seed: int, steps: int, environments: int) -> list[Transition]:
    """Steps whose states name environment and time: (k, t), and (k, t + 0.5) after them."""
    draw = generator(seed)
    out = []
    for t in range(steps):
        at = np.stack([np.arange(environments), np.full(environments, t)], axis=1).astype(np.float32)
        after = at + np.array([0, 0.5], np.float32)
        terminated = draw.random(environments) < 0.15
        ended = terminated | (draw.random(environments) < 0.15)
        action, reward = draw.integers(3, size=environments), draw.standard_normal(environments)
        out.append(Transition(at, action, reward, after, terminated, ended))
    return out


@settings(max_examples=40, deadline=None)
@given(some.integers(0, 999), some.integers(1, 4), some.integers(1, 3), some.integers(3, 40), some.booleans())
def test_a_batch_is_what_happened(seed: int, n: int, environments: int, steps: int, weighed: bool) -> None:
    """Of each drawn transition: the discounted rewards of up to n steps of its episode, and what was seen then."""
    told = story(seed, steps, environments)
    ring = 12
    replay = Replay(2, environments, ring * environments, steps=n, discount=GAMMA, priority=0.5 * weighed)
    for step in told:
        replay.add(step)
    kept = min(steps, max(ring, n + 1))
    assert replay.ready == max(kept - n + 1, 0) * environments
    if replay.ready == 0:
        return
    b = replay.draw(64, generator(seed))
    for row in range(64):
        k, t = int(b.state[row, 0]), int(b.state[row, 1])
        assert steps - kept <= t <= steps - n, "only what is stored, with all of its n steps"
        reward, m = 0.0, 0
        while True:
            step = told[t + m]
            reward += GAMMA**m * step.reward[k]
            m += 1
            if m == n or step.ended[k]:
                break
        assert b.action[row] == told[t].action[k]
        assert b.reward[row] == pytest.approx(reward, rel=1e-5, abs=1e-6)
        assert b.following[row].tolist() == [k, t + m - 0.5]
        assert b.discount[row] == pytest.approx(0.0 if step.terminated[k] else GAMMA**m, rel=1e-6)


@settings(max_examples=60, deadline=None)
@given(some.integers(0, 999), some.integers(1, 40))
def test_the_tree_finds_places_by_the_running_sum(seed: int, places: int) -> None:
    draw = generator(seed)
    tree = new_tree(places)
    for _ in range(3):
        set_priorities(tree, draw.integers(places, size=5), draw.integers(0, 4, size=5).astype(float))
    half = len(tree) // 2
    priorities = tree[half : half + places]
    assert tree[1] == priorities.sum()
    if tree[1] == 0.0:
        return
    heights = draw.integers(int(tree[1]), size=50) + 0.5
    found = np.empty(50, np.int64)
    find(tree, heights, found)
    assert (found == np.searchsorted(priorities.cumsum(), heights, side="right")).all()


def test_what_is_judged_worse_is_drawn_more_often_and_weighs_less() -> None:
    replay = Replay(2, 1, 100, steps=1, discount=GAMMA, priority=1.0)
    for step in story(1, 100, 1):
        replay.add(step)
    replay.judge(np.arange(100), np.where(np.arange(100) == 7, 9.0, 1.0 / 11.0))
    b = replay.draw(4000, generator(2), beta=1.0)
    share = (b.place == 7).mean()
    assert share == pytest.approx(0.5, abs=0.01), "half of all priority"
    assert b.weight[b.place == 7] == pytest.approx(1.0 / 99.0, rel=1e-3)


def test_replay_and_draws_go_on_from_their_state() -> None:
    told, draw = story(3, 30, 2), generator(4)
    one = Replay(2, 2, 40, steps=3, discount=GAMMA, priority=0.5)
    for step in told[:25]:
        one.add(step)
    draw.random(3, np.float32)
    two = Replay(2, 2, 40, steps=3, discount=GAMMA, priority=0.5)
    two.restore(one.state())
    other = generator(99)
    set_numbers(other, numbers_of(draw))
    for step in told[25:]:
        for replay, numbers in ((one, draw), (two, other)):
            replay.add(step)
            replay.judge(np.arange(4), numbers.random(4))
        a, b = one.draw(8, draw), two.draw(8, other)
        assert all(x.tobytes() == y.tobytes() for x, y in zip(a, b, strict=True))
