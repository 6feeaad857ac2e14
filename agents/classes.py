"""Classes of agents that are named by where they are: module:Class."""

from importlib import import_module
from typing import Any

from windvane.agents.errors import WindvaneError


def load_class(origin: str) -> Any:
    """Import `module:Class` and return the class; raises WindvaneError where that fails, in whatever way.

    Only words that were typed on this machine may come here, since an import runs code.
    """
    module, _, name = origin.partition(":")
    try:
        found = getattr(import_module(module), name, None)
    except Exception as error:
        why = f"{type(error).__name__}: {error}".splitlines()[0]
        raise WindvaneError(f"{origin} cannot be imported ({why}): check the name, or install it") from error
    if not isinstance(found, type):
        raise WindvaneError(f"module {module} has no class {name}: name a class of it, as module:Class")
    return found
