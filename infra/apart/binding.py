"""Which agents run in a process of their own: those whose code is not ours, in books that time closes."""

from functools import partial

from windvane.agents.roster import Bindings
from windvane.infra.apart.agent import ApartAgent


def apart(bindings: Bindings) -> Bindings:
    """The same bindings, with a process of its own for each agent that is not built in."""
    return {
        name: binding._replace(apart=partial(ApartAgent, name, binding.word)) if binding.word else binding
        for name, binding in bindings.items()
    }
