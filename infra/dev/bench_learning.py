"""`make bench-learning`: how fast environments step, learners train, and a policy decides, in one thread.

Figures of two machines do not compare; compare those of two versions on one machine.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from windvane.agents.learned.learners import LEARNERS
from windvane.infra.policies.folder import load_policy, write_policy
from windvane.infra.policies.market import Parts, simulated_parts
from windvane.infra.policies.recipe import Recipe, settings_of
from windvane.infra.policies.training import PolicyTraining
from windvane.infra.training.trainer import has_torch
from windvane.metamodel.base.config import Costs
from windvane.metamodel.simulation.lanes import Lanes
from windvane.metamodel.simulation.simulator_rules import SimulatorRules

_TOGETHER, _CALLS, _STATES, _STEPS = 64, 2_000, 1_024, 12_000
_RULES = SimulatorRules(costs=Costs(delay=1), actions="target", sees_position=True)


def _fastest(call: Callable[[], object], times: int = 7) -> float:
    """Seconds of CPU time of the fastest of some calls, after one that compiles."""
    call()
    seconds = []
    for _ in range(times):
        began = time.process_time()
        call()
        seconds.append(time.process_time() - began)
    return min(seconds)


def steps_a_second(parts: Parts) -> float:
    """Steps of 64 environments together a second."""
    lanes = Lanes(parts.train, _RULES, _TOGETHER, steps=1_000)
    lanes.reset()
    actions = np.random.Generator(np.random.PCG64(1)).integers(0, 3, (_CALLS, _TOGETHER)).astype(float)

    def play() -> None:
        for action in actions:
            lanes.step(action)

    return _CALLS * _TOGETHER / _fastest(play)


def learning(algorithm: str, parts: Parts) -> tuple[float, PolicyTraining]:
    """Steps of environments a second of CPU time while a learner trains, and the training."""
    from windvane.agents.learned.networks import one_thread

    recipe = Recipe(
        algorithm=algorithm, settings=settings_of(algorithm, ()), rules=_RULES, steps=2 * _STEPS, every=_STEPS
    )
    training = PolicyTraining(recipe, parts)
    with one_thread():
        training.go()
        began = time.process_time()
        training.go()
    return _STEPS / (time.process_time() - began), training


def deciding(training: PolicyTraining, folder: Path) -> tuple[float, float]:
    """Microseconds of one decision, the median, and milliseconds of 1,024 states in one call, the fastest."""
    write_policy(folder, training.best, training.form())
    agent = load_policy(folder)
    agent.restore({"memory": np.array([1e6, 0.0])})
    x = training.parts.train.x[:_STATES].copy()
    ones, one = np.ones(_STATES), np.ones(_STATES, np.int64)
    row, price, good = x[:1].copy(), ones[:1].copy(), one[:1].copy()
    seconds = []
    for _ in range(5_000):
        began = time.perf_counter()
        agent.propose(row, price, good)
        seconds.append(time.perf_counter() - began)
    return 1e6 * statistics.median(seconds), 1e3 * _fastest(lambda: agent.propose(x, ones, one), 50)


def main() -> None:
    """Run all, which takes a minute or two, and print a line each."""
    parts = simulated_parts("standard", 4, 2_000)
    say = sys.stdout.write
    say(f"environments, {_TOGETHER} at once: {steps_a_second(parts):,.0f} steps/s\n")
    if not has_torch():
        say("learners: torch is not installed\n")
        return
    with tempfile.TemporaryDirectory() as folder:
        for algorithm in LEARNERS:
            rate, training = learning(algorithm, parts)
            one, many = deciding(training, Path(folder) / algorithm)
            say(
                f"{algorithm}: {rate:,.0f} steps/s of training; a decision {one:.1f} us, "
                f"{_STATES:,} states {many:.2f} ms\n"
            )


if __name__ == "__main__":
    main()
