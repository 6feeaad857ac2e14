"""The agents of a book as a person names them: what is recorded of them, and what makes them on this machine."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from windvane.agents.errors import WindvaneError
from windvane.agents.factory import AGENTS, Binding, bind, built_in, unknown_agent
from windvane.agents.naming import CLASS, POLICY, each_named, is_plain

Bindings = Mapping[str, Binding]
"""What ids stand for on this machine. Only its command line, or a call in Python, says it; nothing on a topic does."""

UNBOUND: Bindings = MappingProxyType({})
"""Where nothing but what is built in can be made."""


class Roster(NamedTuple):
    """N agents, in the order of a book."""

    ids: tuple[str, ...]
    kinds: tuple[str, ...]  # of each
    versions: tuple[str, ...]  # of each, "" where that is known elsewhere only
    bindings: Bindings

    def recorded(self) -> dict[str, Any]:
        """The fields of a TradingConfig; kinds and versions are left out where each id is the built-in of that name."""
        if self.kinds == self.ids and all(kind in AGENTS for kind in self.kinds):
            return {"agents": self.ids, "kinds": (), "versions": ()}
        return {"agents": self.ids, "kinds": self.kinds, "versions": self.versions}

    def shadowing(self) -> dict[str, Any]:
        """The fields of a TradingConfig in which they are its shadows, as `recorded`."""
        names = {"agents": "shadows", "kinds": "shadow_kinds", "versions": "shadow_versions"}
        return {names[name]: values for name, values in self.recorded().items()}


def check_made_here(bindings: Bindings, why: str) -> None:
    """Raise WindvaneError for the first agent that is made elsewhere; why: why all have to be made here, in words."""
    for name, binding in bindings.items():
        if binding.make is None:
            raise WindvaneError(
                f"agent {name} is of the kind {binding.kind} and made elsewhere, but {why}: name its class or folder, "
                "or leave it out"
            )


def roster(words: Iterable[str]) -> Roster:
    """The agents that these words name; raises WindvaneError where one is unknown, named twice or cannot be made."""
    bindings = {named.id: bind(named) for named in each_named(words)}
    return Roster(
        tuple(bindings),
        tuple(binding.kind for binding in bindings.values()),
        tuple(binding.version for binding in bindings.values()),
        bindings,
    )


def recorded_words(ids: Iterable[str], kinds: Iterable[str]) -> tuple[str, ...]:
    """Agents as files and checkpoints name them, ID or ID=KIND: what says where code lies is not written down."""
    return tuple(name if name == kind else f"{name}={kind}" for name, kind in zip(ids, kinds, strict=True))


def check_recorded(words: Iterable[str], source: str) -> None:
    """Raise WindvaneError where words that come from `source`, a file, name code: only who runs it may do that."""
    for named in each_named(words):
        if not is_plain(named.origin):
            raise WindvaneError(
                f"{source} names the code of agent {named.id}: write {named.id}={CLASS} or ={POLICY} there, and name "
                "its class or folder where you run it"
            )


def foreign(ids: Iterable[str], kinds: Iterable[str]) -> tuple[str, ...]:
    """Ids of the agents that are not built in, so that only who has bound them can make them."""
    return tuple(name for name, kind in zip(ids, kinds, strict=True) if kind not in AGENTS)


def check_opened(ids: Iterable[str], kinds: Iterable[str]) -> None:
    """Raise WindvaneError where a book names an agent that cannot exist anywhere; nothing is imported to find that out.

    ids, kinds: as they are recorded. An id without a kind is a built-in; of kinds that are no built-in's, other
    machines may know more.
    """
    if not tuple(kinds):
        for name in ids:
            if name not in AGENTS:
                raise unknown_agent(name)


def made_here(name: str, kind: str, bindings: Bindings) -> Binding | None:
    """What makes the agent of a book here, None where nothing does: built-ins, and what this machine has bound."""
    bound = bindings.get(name)
    if bound is not None and bound.kind == kind:
        return bound if bound.make is not None else None
    return built_in(name, kind) if kind in AGENTS else None
