"""The dqn, ppo and rainbow that a session trains from nothing, together with the meta-learner.

Each takes part in an episode with the weights that it had before it. When the episode is over it learns from its rows,
on accounts of its own: what an action earns depends on the market and on who acts, not on what the ensemble traded.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from windvane.agents.learned.learners import LEARNERS, new_learner
from windvane.agents.learned.transitions import Learner, Transition
from windvane.agents.program import VERSION
from windvane.infra.policies.folder import Packed, packed
from windvane.infra.training_sessions.agents import trained_ids
from windvane.metamodel.base.config import ConfigError, Costs
from windvane.metamodel.base.weights import WeightsError
from windvane.metamodel.features.columns import NAMES
from windvane.metamodel.features.extractor import WARMUP, FeatureRows
from windvane.metamodel.features.scaler import CLIP, FeatureScaler
from windvane.metamodel.settings.meta_config import MetaLearningConfig, NetDims
from windvane.metamodel.simulation.lanes import Lanes
from windvane.metamodel.simulation.simulator_rules import SimulatorRules
from windvane.metamodel.simulation.tape import deviation, tape_of

ENVIRONMENTS, ROWS = 16, 256
"""Accounts that learn from an episode at once, and rows from the start of one, which is drawn, to its end."""

_ACTIONS = "target"  # an action is the position itself

_ENDLESS = 10**15
"""Steps that exploration and rates are spread over: a session does not know how many episodes will come."""

_OFF_POLICY = {"explore": 0.0, "epsilon": 0.2, "batch": 512, "every": 64, "capacity": 100_000}
_SETTINGS: dict[str, dict[str, Any]] = {"dqn": _OFF_POLICY, "ppo": {}, "rainbow": _OFF_POLICY}
"""What differs from the defaults of a learner: exploring goes on, and few large batches tell more than many small."""


class _One(NamedTuple):
    """A learner, its hyperparameters where they are not the defaults, and what it has learned from."""

    algorithm: str
    learner: Learner
    settings: dict[str, Any]
    counts: np.ndarray  # (2,) int64: transitions, and updates


class SessionLearners:
    """The learners of a session, which have learned nothing yet.

    config: `net_dims`, and who takes part; seed: of all that they draw. Raises ConfigError where none of the agents
    learns, and LearnedError where torch is missing.
    """

    def __init__(self, config: MetaLearningConfig, seed: int) -> None:
        named = trained_ids(config)
        if not named:
            raise ConfigError(
                f"net_dims is {config.net_dims}, but no agent of this session learns: name some of "
                f"{', '.join(LEARNERS)} among its agents, or set net_dims to None"
            )
        self._seed, self._scaler = seed, FeatureScaler()
        self._ones = {name: self._new(algorithm, config.net_dims) for name, algorithm in named.items()}

    def _new(self, algorithm: str, net_dims: NetDims) -> _One:
        settings = {"hidden": net_dims, **_SETTINGS[algorithm]}
        learner = new_learner(
            algorithm,
            settings,
            width=len(NAMES) + 1,
            seed=self._seed,
            total_steps=_ENDLESS,
            environments=ENVIRONMENTS,
        )
        return _One(algorithm, learner, settings, np.zeros(2, np.int64))

    def policies(self) -> dict[str, Packed]:
        """Return what the learners know now, as policies by the ids of their agents."""
        return {name: packed(one.learner.layers(), self._form(one)) for name, one in self._ones.items()}

    def learn(self, rows: FeatureRows, costs: Costs, seed: int) -> dict[str, dict[str, Any]]:
        """Learn from the rows of an episode that is over, and return by agent what came of it.

        seed: of the rows that accounts start at. The figures are those of `learning_info`: `loss`, mean over the
        updates of the episode, None where there was none; `transitions` and `updates` of all episodes so far. Raises
        ConfigError where the episode has fewer than two rows to learn from.
        """
        from windvane.agents.learned.networks import one_thread

        tape = tape_of(rows)
        tape = tape._replace(x=self._scaler.scale(tape.x).astype(np.float32))
        scale, rules = 1.0 / deviation(tape), _rules(costs)
        with one_thread():
            return {
                name: self._learned(one, Lanes(tape, rules, ENVIRONMENTS, steps=ROWS, seed=seed), scale)
                for name, one in self._ones.items()
            }

    def _learned(self, one: _One, lanes: Lanes, scale: float) -> dict[str, Any]:
        """Let one learner play as many rows as the tape has, in every lane; returns its figures."""
        state, losses, rows = lanes.reset(), [], len(lanes.tape.mid) - 1
        for row in range(rows):
            action = one.learner.act(state)
            step = lanes.step(action)
            loss = one.learner.learn(
                Transition(
                    state=state,
                    action=action,
                    reward=scale * step.reward,
                    following=step.final,
                    terminated=np.zeros(ENVIRONMENTS, np.bool_),
                    ended=step.ended | (row == rows - 1),  # the next episode is another market
                )
            )
            state = step.state
            losses += [] if loss is None else [loss]
        one.counts[:] += (rows * ENVIRONMENTS, len(losses))
        transitions, updates = one.counts.tolist()
        mean = sum(losses) / len(losses) if losses else None
        return {"loss": mean, "transitions": transitions, "updates": updates}

    def state(self) -> dict[str, np.ndarray]:
        """Return copies of all that learning goes on from, by name."""
        whole: dict[str, np.ndarray] = {}
        for name, one in self._ones.items():
            whole |= {f"{name}/{part}": value for part, value in one.learner.state().items()}
            whole[f"{name}/counts"] = one.counts.copy()
        return whole

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from what `state` of equal learners returned."""
        for name, one in self._ones.items():
            below = f"{name}/"
            parts = {part.removeprefix(below): v for part, v in state.items() if part.startswith(below)}
            one.counts[:] = parts.pop("counts")
            one.learner.restore(parts)

    def check(self, state: Mapping[str, np.ndarray]) -> None:
        """Raise WeightsError where a state is not one of equal learners; a replay may hold any number of steps."""
        mine = self.state()
        fits = mine.keys() == state.keys() and all(
            (state[name].dtype, state[name].shape[_kept(name) :]) == (ours.dtype, ours.shape[_kept(name) :])
            for name, ours in mine.items()
        )
        if not fits:
            raise WeightsError(
                "what agents learned in this checkpoint is of others, or other net_dims: give the config of its session"
            )

    def _form(self, one: _One) -> dict[str, Any]:
        layers = one.learner.layers()
        return {
            "algorithm": one.algorithm,
            "features": NAMES,
            "centre": self._scaler.centre.tolist(),
            "spread": self._scaler.spread.tolist(),
            "clip": CLIP,
            "sees_position": True,
            "actions": _ACTIONS,
            "mapping": (-1.0, 0.0, 1.0),
            "max_position": 1.0,
            "hidden": [len(bias) for bias in layers.biases[:-1]],
            "atoms": len(layers.support),
            "warmup": WARMUP,
            "trained": {
                "simulated": True,
                "data": "SIMULATED markets of a session, beside the meta-learner",
                "steps": int(one.counts[0]),
                "seed": self._seed,
                "release": VERSION,
                "settings": one.settings,
            },
        }


def _kept(name: str) -> int:
    """1 for what a replay keeps one by one, whose first axis grows; 0 for all else."""
    return int("/replay." in name and not name.endswith((".tree", ".highest", ".seen")))


def _rules(costs: Costs) -> SimulatorRules:
    return SimulatorRules(costs=costs, actions=_ACTIONS, sees_position=True)
