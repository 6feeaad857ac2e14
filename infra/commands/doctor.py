"""windvane doctor: what is there, what is missing, and what it would be needed for."""

import typer

_EXTRAS = {
    "kafka": (("faust", "aiokafka", "prometheus_client"), "Kafka mode"),
    "train": (("torch", "onnxruntime", "safetensors", "sklearn", "gymnasium"), "training of models"),
    "live": (("ccxt", "aiohttp"), "live market feeds"),
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
    "psutil",
    "scipy",
)


def doctor() -> None:
    """Tell what this installation can do; exit code 1 where a backtest could not run."""
    import importlib.util
    import os
    import platform
    import sys

    from windvane.agents.program import VERSION
    from windvane.infra.progress import say

    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    say(f"windvane {VERSION}")
    say(f"Python {platform.python_version()} on {platform.machine()}, {os.cpu_count()} cores")
    if missing:
        say(f"missing: {', '.join(missing)}: run `pip install windvane` again")
        raise typer.Exit(1)
    say("backtest, replay, simulate: ready")
    for extra, (names, purpose) in _EXTRAS.items():
        absent = [name for name in names if importlib.util.find_spec(name) is None]
        state = (
            "libraries installed"
            if not absent
            else f"missing {', '.join(absent)}: pip install 'windvane[{extra}]'"
        )
        say(f"{purpose}: {state}")
    from windvane.agents.kernel import cache_folder, compiled_before, this_program

    folder = cache_folder()
    state = "compiled" if compiled_before() else "not compiled yet, the first run takes about a minute longer"
    say(f"kernels: {state} ({folder})")
    say(f"what it computes is recorded as computed by {this_program()}")
    home = folder.parent
    while not home.exists():
        home = home.parent
    if not os.access(home, os.W_OK):
        say(f"{home} cannot be written, so every run compiles anew: set WINDVANE_CACHE to a folder that can")
        sys.stderr.flush()
        raise typer.Exit(1)
