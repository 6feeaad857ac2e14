"""PolicyTraining: a learner plays the train part, and the weights that are best on the validation part are kept."""

import math
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from windvane.agents.learned.policy import LearnedPolicy, PolicyForm, tensors_of
from windvane.agents.learned.settings import LearnedError
from windvane.agents.learned.transitions import Layers, Transition
from windvane.agents.program import VERSION
from windvane.infra.policies.calibration import calibration
from windvane.infra.policies.judging import best_rule, judged, policy_positions
from windvane.infra.policies.market import Parts
from windvane.infra.policies.recipe import Recipe, learner_of
from windvane.infra.training.calibration import check_installed
from windvane.metamodel.features.columns import NAMES
from windvane.metamodel.features.extractor import WARMUP
from windvane.metamodel.features.scaler import CLIP, FeatureScaler
from windvane.metamodel.simulation.lanes import Lanes
from windvane.metamodel.simulation.tape import Tape, deviation


class PolicyTraining:
    """The training of one policy, which goes on from `state` to the same weights.

    recipe: how; parts: on what. The scaler is fitted on the train part. Rewards are divided by the standard deviation
    of a row's return where they are returns, so that the hyperparameters fit any market.
    """

    def __init__(self, recipe: Recipe, parts: Parts) -> None:
        check_installed()  # what the end needs is asked for at the beginning
        self.recipe, self.parts = recipe, parts
        self.scaler = FeatureScaler.fit(parts.train.x)
        scaled = self.scaler.scale(parts.train.x).astype(np.float32)
        self._lanes = Lanes(
            parts.train._replace(x=scaled),
            recipe.rules,
            recipe.environments,
            steps=recipe.episode,
            seed=recipe.seed,
        )
        self._learner = learner_of(recipe, self._lanes.width)
        self._scale = 1.0 if recipe.rules.reward == "sharpe" else 1.0 / deviation(parts.train)
        self._state = self._lanes.reset()
        self.steps, self.looks, self.best_look = 0, 0, -1
        self.best, self.best_score = self._learner.layers(), -math.inf
        self.history: list[dict[str, Any]] = []
        self._reward, self._loss, self._losses = 0.0, 0.0, 0

    @property
    def over(self) -> bool:
        """Whether all steps are taken, or the validation part has not improved for too long."""
        waited = self.looks - 1 - self.best_look
        tired = self.recipe.patience > 0 and self.looks > 0 and waited >= self.recipe.patience
        return self.steps >= self.recipe.steps or tired

    def go(
        self, stopped: Callable[[], bool] = lambda: False, told: Callable[[int], None] = lambda step: None
    ) -> None:
        """Learn until the next look at the validation part is taken, or somebody stops it.

        stopped: whether somebody did, asked after every step of all environments; told: called with the steps so far.
        """
        n, every = self.recipe.environments, self.recipe.every
        due = min((self.steps // every + 1) * every, self.recipe.steps)
        while self.steps < due and not stopped():
            action = self._learner.act(self._state)
            step = self._lanes.step(action)
            loss = self._learner.learn(
                Transition(
                    state=self._state,
                    action=action,
                    reward=self._scale * step.reward,
                    following=step.final,
                    terminated=np.zeros(n, np.bool_),
                    ended=step.ended,
                )
            )
            self._state = step.state
            self.steps += n
            self._reward += float(step.reward.sum())
            if loss is not None:
                self._loss, self._losses = self._loss + loss, self._losses + 1
            told(self.steps)
        if self.steps >= due:
            self._look()

    def _look(self) -> None:
        """Judge the present weights on the validation part, and keep them where they are the best so far."""
        layers = self._learner.layers()
        figures = self.judge(layers, self.parts.validation)
        seen = self.steps - (self.history[-1]["step"] if self.history else 0)
        self.history.append(
            {
                "step": self.steps,
                "reward": self._reward / max(seen, 1),
                "loss": self._loss / self._losses if self._losses else None,
                "validation": figures["profit"],
                "trades": figures["trades"],
            }
        )
        if figures["profit"] > self.best_score:
            self.best, self.best_score, self.best_look = layers, figures["profit"], self.looks
        self.looks += 1
        self._reward, self._loss, self._losses = 0.0, 0.0, 0

    def judge(self, layers: Layers, tape: Tape) -> dict[str, Any]:
        """Return the figures of layers on a tape of raw features, as they would be served."""
        agent = self._served(layers)
        fresh = agent.state()
        return judged(tape, self.recipe.rules, policy_positions(agent, tape, fresh))

    def _served(self, layers: Layers) -> LearnedPolicy:
        return LearnedPolicy(msgspec.convert(self._form(layers, {}), PolicyForm), tensors_of(layers), NAMES)

    def metrics(self) -> dict[str, dict[str, Any]]:
        """Return the figures of the best weights on all three parts, with those of the baselines beside them.

        The rule is the best one of the train part. The test part is looked at here for the first time.
        """
        rule = best_rule(self.parts.train, self.recipe.rules)
        whole: dict[str, dict[str, Any]] = {"baselines": {"best_rule": rule.words}}
        for name, tape in self.parts.named().items():
            whole[name] = {
                "policy": self.judge(self.best, tape),
                "buy_and_hold": judged(tape, self.recipe.rules, np.ones(len(tape.mid))),
                "best_rule": judged(tape, self.recipe.rules, rule.positions(tape)),
            }
        return whole

    def form(self) -> dict[str, Any]:
        """What `policy.json` says of the best weights, with their metrics and the calibration of their confidence."""
        found = calibration(self._served(self.best), self.recipe.rules.costs, self.parts)
        form = self._form(self.best, self.metrics()) | {"confidence": msgspec.to_builtins(found)}
        return {name: value for name, value in form.items() if name not in ("format", "weights_sha256")}

    def _form(self, layers: Layers, metrics: dict[str, Any]) -> dict[str, Any]:
        best_step = self.history[self.best_look]["step"] if self.best_look >= 0 else self.steps
        return {
            "format": 1,
            "weights_sha256": "0" * 64,
            "algorithm": self.recipe.algorithm,
            "features": list(NAMES),
            "centre": self.scaler.centre.tolist(),
            "spread": self.scaler.spread.tolist(),
            "clip": CLIP,
            "sees_position": self.recipe.rules.sees_position,
            "actions": self.recipe.rules.actions,
            "mapping": [-1.0, 0.0, 1.0],
            "max_position": min(self.recipe.rules.max_position, 1.0),
            "hidden": [len(bias) for bias in layers.biases[:-1]],
            "atoms": len(layers.support),
            "warmup": WARMUP,
            "trained": {
                "simulated": self.parts.simulated,
                "data": self.parts.about,
                "steps": best_step,
                "seed": self.recipe.seed,
                "release": VERSION,
                "settings": self.recipe.settings,
                "rules": msgspec.to_builtins(self.recipe.rules),
                "metrics": metrics,
            },
        }

    def story(self) -> dict[str, Any]:
        """What a checkpoint says of the training: recipe, data, and how far it came."""
        return {
            "recipe": msgspec.json.decode(msgspec.json.encode(self.recipe)),
            "data": self.parts.about,
            "digest": self.parts.digest,
            "steps": self.steps,
            "looks": self.looks,
            "best_look": self.best_look,
            "best_score": None if math.isinf(self.best_score) else self.best_score,
            "history": self.history,
            "sums": [self._reward, self._loss, self._losses],
        }

    def state(self) -> dict[str, np.ndarray]:
        """Return copies of all arrays that the training goes on from."""
        learned = {f"learner.{name}": value for name, value in self._learner.state().items()}
        best = {f"best.{name}": value for name, value in tensors_of(self.best).items()}
        return learned | best | self._lanes.state() | {"state": self._state.copy()}

    def restore(self, story: dict[str, Any], state: dict[str, np.ndarray]) -> None:
        """Go on from `story` and `state` of a training; raises LearnedError where that was another one."""
        mine = self.story()
        for name in ("recipe", "data", "digest"):
            if story.get(name) != mine[name]:
                raise LearnedError(
                    f"the checkpoint is of another training ({_difference(story.get(name), mine[name])}): give the "
                    "options that it began with, or another --out"
                )
        self.steps, self.looks, self.best_look = story["steps"], story["looks"], story["best_look"]
        self.best_score = -math.inf if story["best_score"] is None else story["best_score"]
        self.history = story["history"]
        self._reward, self._loss, self._losses = story["sums"]
        self._learner.restore(_below("learner.", state))
        best = _below("best.", state)
        count = sum(name.endswith(".bias") for name in best)
        self.best = Layers(
            [best[f"layer{i}.weight"] for i in range(count)],
            [best[f"layer{i}.bias"] for i in range(count)],
            best.get("support", np.zeros(0, np.float32)),
        )
        self._lanes.restore(state)
        self._state = state["state"]


def _below(prefix: str, state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def _difference(was: Any, now: Any) -> str:
    """The first thing in which two stories differ, in words."""
    if isinstance(was, dict) and isinstance(now, dict):
        for name in now:
            if was.get(name) != now[name]:
                inner = _difference(was.get(name), now[name])
                return inner if isinstance(now[name], dict) else f"{name}: {inner}"
    return f"{was} there, {now} here"
