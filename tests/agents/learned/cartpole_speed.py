"""`make bench-learning PEER=PYTHON`: training on CartPole-v1 beside Stable-Baselines3, which another python imports.

Environments, networks, batches and updates are the same, and DQN is the plain one, since the other has no more.
It is measured in CPU time of one thread, in turns, and the fastest turn of each counts, since other programs only slow
one down.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
from cartpole import ACTIONS, WIDTH, Training

from windvane.agents.learned.dqn import DQN, DQNSettings
from windvane.agents.learned.networks import one_thread
from windvane.agents.learned.ppo import PPO, PPOSettings
from windvane.agents.learned.transitions import Learner

PROGRAM = Path(__file__).with_name("cartpole_sb3.py")
"""What the other interpreter runs."""


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """What both do."""

    steps: int = 32_768  # of all environments, timed
    warm_up: int = 2_048  # before them
    environments: int = 8
    hidden: tuple[int, ...] = (64, 64)
    batch: int = 128  # transitions of an update of DQN
    every: int = 4  # steps between two updates of DQN
    before: int = 1_000  # transitions before its first update
    follow: float = 0.02
    epsilon: float = 0.02
    rollout: int = 128  # steps of every environment in a rollout of PPO
    epochs: int = 6
    batches: int = 4  # updates of an epoch of PPO


class Timed(NamedTuple):
    """Steps of environments a second of CPU time, and updates of the weights in the steps that were timed."""

    rate: float
    updates: int


class Pair(NamedTuple):
    """An algorithm, as it trains here and in Stable-Baselines3 of a version."""

    algorithm: str
    ours: Timed
    theirs: Timed
    version: str


def learners(work: Workload) -> dict[str, Learner]:
    """The learners by name."""
    steps = work.warm_up + work.steps
    dqn = DQNSettings(
        hidden=work.hidden,
        double=False,
        dueling=False,
        batch=work.batch,
        every=work.every,
        before=work.before,
        follow=work.follow,
        explore=0.0,
        epsilon=work.epsilon,
    )
    ppo = PPOSettings(hidden=work.hidden, steps=work.rollout, epochs=work.epochs, batches=work.batches)
    return {
        "dqn": DQN(WIDTH, ACTIONS, work.environments, steps=steps, seed=0, settings=dqn),
        "ppo": PPO(WIDTH, ACTIONS, work.environments, steps=steps, seed=0, settings=ppo),
    }


def ours(work: Workload) -> dict[str, Timed]:
    """Time the learners of this package."""
    out = {}
    with one_thread():
        for name, learner in learners(work).items():
            training = Training(learner, seed=0)
            training.go(work.warm_up)
            done, began = _updates(learner), time.process_time()
            training.go(work.steps)
            rate = work.steps / (time.process_time() - began)
            out[name] = Timed(rate, _updates(learner) - done)
    return out


def _updates(learner: Learner) -> int:
    return int(learner.state()["weights.steps"][0])


def theirs(work: Workload, python: str) -> tuple[str, dict[str, Timed]]:
    """Time Stable-Baselines3 in another interpreter; returns its version, too. Raises SystemExit where it fails."""
    command = [python, str(PROGRAM), msgspec.json.encode(work).decode()]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SystemExit(
            f"{python} could not train with Stable-Baselines3 ({error}): give PEER an interpreter that imports it"
        ) from error
    told = json.loads(done.stdout)
    version = told.pop("version")
    return version, {name: Timed(run["rate"], run["updates"]) for name, run in told.items()}


def compared(python: str, work: Workload, turns: int = 3) -> Iterator[Pair]:
    """Time both in turns; raises SystemExit where they did not update equally often."""
    rounds = [(ours(work), theirs(work, python)) for _ in range(turns)]
    for name in rounds[0][0]:
        here = max(mine[name] for mine, _ in rounds)
        there = max(other[name] for _, (_, other) in rounds)
        if here.updates != there.updates:
            raise SystemExit(f"{name} updated {here.updates} times here and {there.updates} times there")
        yield Pair(name, here, there, rounds[0][1][0])


def main() -> None:
    """Compare with the interpreter that is the only argument, and print a line an algorithm."""
    (python,) = sys.argv[1:]
    for pair in compared(python, Workload()):
        sys.stdout.write(
            f"{pair.algorithm} on CartPole-v1, {pair.ours.updates:,} updates: {pair.ours.rate:,.0f} steps/s; "
            f"Stable-Baselines3 {pair.version} {pair.theirs.rate:,.0f}: "
            f"{pair.ours.rate / pair.theirs.rate:.2f} times\n"
        )


if __name__ == "__main__":
    main()
