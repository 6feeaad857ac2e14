"""windvane doctor: what is installed, what is missing, and what it would be needed for."""

from pathlib import Path

import typer

_EXTRAS = {
    "kafka": (("aiohttp", "aiokafka", "faust", "prometheus_client"), "Kafka mode"),
    "live": (("ccxt",), "feeds of exchanges"),
    "train": (("torch", "onnx", "sklearn"), "training and conversion of models"),
    "gym": (("gymnasium",), "environments of gymnasium"),
}
_NEEDED = (
    "numpy",
    "numba",
    "msgspec",
    "orjson",
    "pandas",
    "pyarrow",
    "plotly",
    "empyrical",
    "platformdirs",
    "psutil",
    "safetensors",
    "scipy",
)


def sentence_of(module: str | None) -> str | None:
    """The sentence that says what to install for a missing module; None where Windvane does not require it."""
    name = "" if module is None else module.partition(".")[0]
    for extra, (names, purpose) in _EXTRAS.items():
        if name in names:
            return _more(purpose, extra)
    return f"{name} is missing: run `pip install windvane` again" if name in _NEEDED else None


def need(module: str, extra: str) -> None:
    """Raise ConfigError where a module is missing that this extra brings, and others, too."""
    from windvane.metamodel.base.config import check

    check(_importable(module), _more(_EXTRAS[extra][1], extra))


def _more(purpose: str, extra: str) -> str:
    return f"{purpose} needs more libraries: pip install 'windvane[{extra}]'"


def _importable(name: str) -> bool:
    """Whether a module can be imported; one that is loaded counts, since some lose their spec when they are."""
    import importlib.util
    import sys

    return name in sys.modules or importlib.util.find_spec(name) is not None


def doctor() -> None:
    """Tell what this installation can do; exit code 1 where a backtest could not run."""
    import os
    import platform
    import sys

    from windvane.agents.program import VERSION
    from windvane.infra.runs.progress import say

    missing = [name for name in _NEEDED if not _importable(name)]
    say(f"windvane {VERSION}")
    say(f"Python {platform.python_version()} on {platform.machine()}, {os.cpu_count()} cores")
    if missing:
        say(f"missing: {', '.join(missing)}: run `pip install windvane` again")
        raise typer.Exit(1)
    say("backtest, replay, simulate: ready")
    for extra, (names, purpose) in _EXTRAS.items():
        absent = [name for name in names if not _importable(name)]
        state = (
            "libraries installed"
            if not absent
            else f"missing {', '.join(absent)}: pip install 'windvane[{extra}]'"
        )
        say(f"{purpose}: {state}")
    say(f"states of stages: {_states()}")
    from windvane.agents.kernel import cache_folder, compiled_before, this_program

    folder = cache_folder()
    state = "compiled" if compiled_before() else "not compiled yet, the first run takes about a minute longer"
    say(f"kernels: {state} ({folder})")
    say(f"what it computes is recorded as computed by {this_program()}")
    if not _writable(folder):
        say(
            f"{folder} cannot be written, so every run compiles anew: set WINDVANE_CACHE to a folder that can"
        )
        sys.stderr.flush()
        raise typer.Exit(1)


def _states() -> str:
    """Where stages on Kafka keep their states, and whether any is there, in words."""
    import os

    from windvane.infra.kafka.broker.states import VARIABLE, folder_of
    from windvane.metamodel.base.config import ConfigError

    named = os.environ.get(VARIABLE)
    try:
        folder = folder_of(Path(named) if named else None)
    except ConfigError as error:
        return str(error)
    if folder is None:
        return f"on Kafka, as {VARIABLE} says"
    if not _writable(folder):
        return f"{folder} cannot be written: set {VARIABLE} to a folder that can"
    return f"{'in' if any(folder.rglob('*.wvs')) else 'none yet in'} {folder}"


def _writable(folder: Path) -> bool:
    """Whether a folder can be written to, or can be made where it does not exist."""
    import os

    nearest = folder.absolute()
    while not nearest.exists():
        nearest = nearest.parent
    return nearest.is_dir() and os.access(nearest, os.W_OK)
