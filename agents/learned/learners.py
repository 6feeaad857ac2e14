"""The learners by name, made of hyperparameters; torch is imported when one is made."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import msgspec

from windvane.agents.learned.settings import LearnedError
from windvane.agents.learned.transitions import Learner

LEARNERS = {
    "dqn": ("DQN", "DQNSettings"),
    "ppo": ("PPO", "PPOSettings"),
    "rainbow": ("Rainbow", "RainbowSettings"),
}
"""Names of a learner and of its settings in the module `windvane.agents.learned.NAME`."""

TOTAL_STEPS = 100_000
"""Steps over which a learner's exploration is spread where nobody says otherwise."""


def algorithm_of(agent: Any) -> str | None:
    """The name of the learner that an object is, None where it is none."""
    kind = type(agent)
    for name, (learner, _) in LEARNERS.items():
        if (kind.__module__, kind.__name__) == (f"windvane.agents.learned.{name}", learner):
            return name
    return None


def new_learner(
    algorithm: str,
    hyperparameters: Mapping[str, Any],
    *,
    width: int,
    seed: int = 0,
    total_steps: int = TOTAL_STEPS,
) -> Learner:
    """Return a learner of one environment that has learned nothing yet.

    hyperparameters: fields of its settings, such as `rate`; others keep their defaults. width: numbers of a state;
    seed: of all that is drawn; total_steps: of the whole training. Raises LearnedError for a hyperparameter that is
    unknown or out of range, and where torch is missing.
    """
    for name, value in (("state_dim", width), ("seed", seed), ("total_steps", total_steps)):
        if not isinstance(value, int) or value < 0:
            raise LearnedError(f"{name} of {algorithm} is {value!r}: give a whole number, 0 or more")
    try:
        module = import_module(f"windvane.agents.learned.{algorithm}")
    except ImportError as error:
        raise LearnedError(
            f"{algorithm} learns with torch ({error}): pip install 'windvane[train]'"
        ) from error
    learner, settings = (getattr(module, name) for name in LEARNERS[algorithm])
    fields = settings.__struct_fields__
    for name in hyperparameters:
        if name not in fields:
            raise LearnedError(
                f"{algorithm} has no hyperparameter {name!r}: give some of {', '.join(fields)}"
            )
    try:
        checked = msgspec.convert(dict(hyperparameters), settings)
    except msgspec.ValidationError as error:
        raise LearnedError(f"hyperparameters of {algorithm}: {error.__cause__ or error}") from error
    made: Learner = learner(width, 3, 1, steps=total_steps, seed=seed, settings=checked)
    return made
