"""The words by which people name agents: NAME, or NAME= and where the agent comes from.

Example: `ema_momentum`, `slow=vol_trend`, `mine=pkg.mod:Class`, `pol=policies/trend`, `js=remote`.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from windvane.agents.errors import WindvaneError

CLASS, POLICY, REMOTE = "class", "policy", "remote"
FOREIGN = (CLASS, POLICY, REMOTE)
"""Kinds of agents that are neither built in nor installed under a name."""

LONGEST_VERSION = 64
"""Most characters of an agent's version."""

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_CLASS = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


class Named(NamedTuple):
    """An agent as a person names it."""

    id: str  # what it is called on topics, in journals and in reports
    origin: str  # name of a kind, module:Class, or a folder; never recorded

    @property
    def is_class(self) -> bool:
        """Whether the origin is written as module:Class."""
        return _CLASS.fullmatch(self.origin) is not None

    def __str__(self) -> str:
        return self.id if self.origin == self.id else f"{self.id}={self.origin}"


def is_plain(name: str) -> bool:
    """Whether a text may be an agent's id or kind: 1 to 64 letters, digits, `_ . -`, and none of `. -` first."""
    return _PLAIN.fullmatch(name) is not None


def named(word: str) -> Named:
    """The agent that one word names; raises WindvaneError where its id is no plain name, or nothing follows the `=`."""
    if not isinstance(word, str):
        raise WindvaneError(f"agent {word!r} is no text: give names, such as 'vol_trend'")
    name, equals, origin = (part.strip() for part in word.partition("="))
    if not is_plain(name):
        raise WindvaneError(
            f"agent {word!r} has no plain name: write NAME or NAME=module:Class, with a NAME of letters, digits, _ . -"
        )
    if equals and not origin:
        raise WindvaneError(f"agent {word!r} says nothing after the =: name a kind, module:Class or a folder")
    return Named(name, origin or name)


def each_named(words: Iterable[str]) -> list[Named]:
    """The agents that words name, in their order; raises WindvaneError as `named`, and for an id that stands twice."""
    if isinstance(words, str):
        raise WindvaneError(f"agents are given as a list of names: write [{words!r}]")
    agents: dict[str, Named] = {}
    for word in words:
        agent = named(word)
        if agent.id in agents:
            raise WindvaneError(f"agent {agent.id!r} is named twice: name each agent once")
        agents[agent.id] = agent
    return list(agents.values())
