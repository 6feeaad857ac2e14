"""Lets `gymnasium.make` know the environments of Windvane, whichever of the two packages is imported first.

gymnasium has no entry points for packages, and importing it takes a quarter of a second. So the names are registered at
once where gymnasium is loaded already, and when it is loaded later on otherwise.
"""

import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

ID = "windvane/TradeSimulator-v0"

_HOME = "windvane.metamodel.simulation"


def register_environments() -> None:
    """Register with gymnasium now, or as soon as it is imported."""
    loaded = sys.modules.get("gymnasium")
    if loaded is not None and hasattr(loaded, "register"):
        _register(loaded)
    elif not any(isinstance(finder, _Watch) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Watch())


def _register(gymnasium: Any) -> None:
    if ID not in gymnasium.registry:
        gymnasium.register(
            ID,
            entry_point=f"{_HOME}.trade_simulator:TradeSimulator",
            vector_entry_point=f"{_HOME}.trade_simulators:TradeSimulators",
        )


class _Watch(MetaPathFinder):
    """Finds gymnasium as Python does, with a loader that registers once it has loaded it; finds nothing else."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "gymnasium":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _Then(spec.loader)
        return spec


class _Then(Loader):
    """Loads a module as another loader does, and registers afterwards."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        spec = module.__spec__
        if spec is not None:
            spec.loader = self._loader
        _register(module)
