"""The learners by name, and a new one made of hyperparameters; torch is imported when one is made."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from windvane.agents.learned.settings import LearnedError
from windvane.agents.learned.transitions import Learner

TOTAL_STEPS = 100_000
"""Steps over which a learner's exploration is spread where nobody says otherwise."""


class Kind(NamedTuple):
    """A kind of learner."""

    learner: Callable[..., Learner]
    settings: type[msgspec.Struct]
    named: dict[str, Any]  # settings by the names of configurations


def _dqn() -> Kind:
    from windvane.agents.learned.dqn import DQN, NAMED, DQNSettings

    return Kind(DQN, DQNSettings, dict(NAMED))


def _ppo() -> Kind:
    from windvane.agents.learned.ppo import PPO, PPOSettings

    return Kind(PPO, PPOSettings, {})


def _rainbow() -> Kind:
    from windvane.agents.learned.rainbow import Rainbow, RainbowSettings

    return Kind(Rainbow, RainbowSettings, {})


LEARNERS: dict[str, Callable[[], Kind]] = {"dqn": _dqn, "ppo": _ppo, "rainbow": _rainbow}
"""What imports each kind of learner, by its name."""


def algorithm_of(agent: Any) -> str | None:
    """The name of the learner that an object is, None where it is none."""
    kind = type(agent)
    name = kind.__name__.lower()
    return name if name in LEARNERS and kind.__module__ == f"windvane.agents.learned.{name}" else None


def new_learner(
    algorithm: str,
    hyperparameters: Mapping[str, Any],
    *,
    width: int,
    seed: int = 0,
    total_steps: int = TOTAL_STEPS,
    environments: int = 1,
) -> Learner:
    """Return a learner that has learned nothing yet.

    hyperparameters: fields of its settings, such as `rate`; others keep their defaults. width: numbers of a state;
    seed: of all that is drawn; total_steps: of the whole training; environments: that step at once. Raises LearnedError
    for a hyperparameter that is unknown or out of range, and where torch is missing.
    """
    for name, value in (("state_dim", width), ("seed", seed), ("total_steps", total_steps)):
        if not isinstance(value, int) or value < 0:
            raise LearnedError(f"{name} of {algorithm} is {value!r}: give a whole number, 0 or more")
    try:
        kind = LEARNERS[algorithm]()
    except ImportError as error:
        raise LearnedError(
            f"{algorithm} learns with torch ({error}): pip install 'windvane[train]'"
        ) from error
    fields = kind.settings.__struct_fields__
    for name in hyperparameters:
        if name not in fields:
            raise LearnedError(
                f"{algorithm} has no hyperparameter {name!r}: give some of {', '.join(fields)}"
            )
    try:
        checked = msgspec.convert(dict(hyperparameters), kind.settings)
    except msgspec.ValidationError as error:
        raise LearnedError(f"hyperparameters of {algorithm}: {error.__cause__ or error}") from error
    return kind.learner(width, 3, environments, steps=total_steps, seed=seed, settings=checked)
