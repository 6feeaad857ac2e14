"""The policies that come with Windvane, one of each algorithm, trained on SIMULATED markets.

docs/learned.md has the commands that train them again. They show what learned agents do; of real markets they know
nothing.
"""

from functools import cache
from importlib import resources

from windvane.agents.learned.policy import LearnedPolicy
from windvane.agents.learned.settings import LearnedError
from windvane.agents.policies import load_policy


class ShippedPolicy(LearnedPolicy):
    """The policy in the folder of this package that has the agent's name."""

    def __init__(self) -> None:
        form, tensors, names = _stored(self.name).parts
        super().__init__(form, tensors, names)


@cache
def _stored(name: str) -> LearnedPolicy:
    """The policy as it is on disk, read once."""
    stored = load_policy(str(resources.files(__package__).joinpath("trained", name)))
    if not isinstance(stored, LearnedPolicy):
        raise LearnedError(f"the folder of {name} holds no policy: install Windvane again")
    return stored


class ShippedDQN(ShippedPolicy):
    """A double, dueling DQN on all features, trained on SIMULATED markets: short, flat or long."""

    name = "dqn"
    version = "1-38f748bd5da6"
    warmup = 512


class ShippedPPO(ShippedPolicy):
    """A PPO on all features, trained on SIMULATED markets: short, flat or long."""

    name = "ppo"
    version = "1-ce157987ac88"
    warmup = 512


class ShippedRainbow(ShippedPolicy):
    """A Rainbow on all features, trained on SIMULATED markets: short, flat or long."""

    name = "rainbow"
    version = "1-0c160fc35d14"
    warmup = 512
