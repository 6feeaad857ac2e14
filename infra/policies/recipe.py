"""Recipe: everything that decides a trained policy, beside its data; and the learners by name.

Importing this module imports no torch; a learner does, when it is made.
"""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from windvane.agents.learned.learners import LEARNERS
from windvane.agents.learned.settings import LearnedError
from windvane.agents.learned.transitions import Learner
from windvane.metamodel.base.config import check
from windvane.metamodel.base.parameters import unknown
from windvane.metamodel.simulation.simulator_rules import SimulatorRules


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a policy is trained; equal recipes and data give equal weights on one machine.

    Raises ConfigError for a value out of range.
    """

    algorithm: str
    settings: Annotated[dict[str, Any], Meta(description="hyperparameters of the learner, all of them")]
    rules: SimulatorRules
    steps: Annotated[int, Meta(description="steps of all environments together")]
    seed: int = 0
    environments: Annotated[int, Meta(description="that step at once")] = 16
    episode: Annotated[int, Meta(description="rows of an episode, from a start that is drawn")] = 512
    every: Annotated[int, Meta(description="steps between two looks at the validation part")] = 20_000
    patience: Annotated[int, Meta(description="looks without a better one that end it, 0: none do")] = 10

    def __post_init__(self) -> None:
        check(self.steps >= 1, f"--steps is {self.steps}: give 1 or more")
        check(self.seed >= 0, f"--seed is {self.seed}: give 0 or more")
        check(1 <= self.environments <= 4096, f"--environments is {self.environments}: give 1 to 4096")
        check(self.episode >= 2, f"--episode is {self.episode}: give 2 or more rows")
        check(self.every >= 1, f"--every is {self.every}: give 1 or more steps")
        check(self.patience >= 0, f"--patience is {self.patience}: give 0 or more")


def settings_of(algorithm: str, changes: Sequence[str], configuration: str | None = None) -> dict[str, Any]:
    """Return all hyperparameters of a learner, with changes as people write them, NAME=VALUE.

    configuration: of DQN, a name such as D3QN; None for the default. Raises LearnedError for what is not known or out
    of range.
    """
    kind = LEARNERS[algorithm]()
    base = kind.settings()
    if configuration is not None:
        known = f"give one of {', '.join(kind.named)}" if kind.named else "only dqn has some, so leave it out"
        if configuration not in kind.named:
            raise LearnedError(f"--configuration is {configuration!r}: {known}")
        base = kind.named[configuration]
    whole: dict[str, Any] = msgspec.to_builtins(base)
    for change in changes:
        name, given, value = change.partition("=")
        if name not in whole:
            raise unknown(f"setting of {algorithm}", name, whole)
        if not given:
            raise LearnedError(f"--set {change}: write {name}=VALUE")
        whole[name] = value.split(",") if name == "hidden" else _number(value)
    try:
        checked = msgspec.convert(whole, kind.settings, strict=False)
        return dict(
            msgspec.json.decode(msgspec.json.encode(checked))
        )  # lists, as a checkpoint gives them back
    except msgspec.ValidationError as error:
        cause = error.__cause__
        said = str(cause) if isinstance(cause, LearnedError) else str(error)
        raise LearnedError(f"--set: {said}") from error


def _number(text: str) -> float | str:
    """A number as people write it, .95 too; else the text."""
    try:
        return int(text) if text.strip("+-").isdecimal() else float(text)
    except ValueError:
        return text


def learner_of(recipe: Recipe, width: int) -> Learner:
    """Return a learner that has learned nothing; width: numbers in a state. Imports torch."""
    kind = LEARNERS[recipe.algorithm]()
    settings = msgspec.convert(recipe.settings, kind.settings)
    return kind.learner(
        width, 3, recipe.environments, steps=recipe.steps, seed=recipe.seed, settings=settings
    )
