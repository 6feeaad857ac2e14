"""What the sources may import and touch: arrows point one way, and only infra/ knows the world."""

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import windvane

ROOT = Path(__file__).resolve().parents[2]
LAYERS = ("agents", "metamodel", "streams", "infra")
PURE = LAYERS[:3]
SOURCES = [p for layer in LAYERS for p in sorted((ROOT / layer).rglob("*.py"))]
TESTS = sorted((ROOT / "tests").rglob("*.py"))
CACHE = (
    ROOT / "agents" / "kernel.py"
)  # the one file below infra/ that knows a folder: that of compiled kernels
LEARNERS = {
    ROOT / "agents" / "learned" / f"{name}.py" for name in ("networks", "dqn", "ppo", "rainbow", "modules")
}
"""The only files below infra/ that import torch; no path that serves imports them."""

READS_TENSORS = ROOT / "infra" / "policies" / "state_dict.py"
"""The only file that asks torch to load something: tensors alone, in a process of its own."""

LONGEST = 350

CLOCKS = {"time", "datetime", "sched", "timeit", "zoneinfo", "calendar"}
WORLD = {"os", "io", "pathlib", "shutil", "tempfile", "socket", "subprocess", "threading", "asyncio", "glob", "logging",
         "multiprocessing", "urllib", "http", "requests", "aiohttp", "aiokafka", "faust", "random", "secrets", "uuid",
         "pandas", "pyarrow", "torch", "sqlite3", "select", "signal", "sys"}  # fmt: skip
UNSAFE = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
CALLS = {"open", "eval", "exec", "input", "print", "breakpoint", "__import__"}
GENERATORS = {"Generator", "PCG64", "SeedSequence"}
TIMES = {"now", "utcnow", "today", "monotonic", "perf_counter", "time_ns", "getenv", "environ"}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(["windvane", *(parts[:-1] if parts[-1] == "__init__" else parts)])


MODULES = {module_of(path): path for path in SOURCES}


every_source = pytest.mark.parametrize("path", SOURCES, ids=name_of)
pure_source = pytest.mark.parametrize(
    "path", [p for p in SOURCES if p.relative_to(ROOT).parts[0] in PURE], ids=name_of
)


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(path: Path) -> Iterator[str]:
    """Every module that a file names, wherever in it; names taken from the package itself as modules."""
    package = ["windvane", *path.relative_to(ROOT).parts[:-1]]
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                whole = f"{module}.{alias.name}"
                yield whole if module == "windvane" or whole in MODULES else module


def dotted(node: ast.AST) -> str:
    """`a.b.c` of an attribute or name, as far as it is one."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id if isinstance(node, ast.Name) else "?", *reversed(parts)])


def test_there_is_something_to_check() -> None:
    assert {p.relative_to(ROOT).parts[0] for p in SOURCES} == set(LAYERS)
    assert len(SOURCES) > 50
    assert {"windvane.streams.features_stage", "windvane.streams.stage"} <= set(
        imports(ROOT / "streams" / "topology.py")
    )


@every_source
def test_arrows_point_one_way(path: Path) -> None:
    layer = LAYERS.index(path.relative_to(ROOT).parts[0])
    allowed = set(LAYERS[: layer + 1])
    for module in imports(path):
        first, _, rest = module.partition(".")
        if first == "windvane":
            assert rest.split(".")[0] in allowed, f"{name_of(path)} imports {module}"


ROOMS: dict[str, tuple[str, ...]] = {
    "metamodel/base": (),
    "metamodel/data": ("metamodel/base",),
    "metamodel/features": ("metamodel/base",),
    "metamodel/regimes": ("metamodel/base", "metamodel/features"),
    "metamodel/simulation": ("metamodel/base", "metamodel/features"),
    "metamodel/settings": ("metamodel/base", "metamodel/features", "metamodel/simulation"),
    "metamodel/learning": ("metamodel/base", "metamodel/features", "metamodel/regimes"),
    "metamodel/trading": ("metamodel/base", "metamodel/features", "metamodel/regimes", "metamodel/learning"),
    "metamodel/trader": (
        *("metamodel/base", "metamodel/features", "metamodel/regimes", "metamodel/simulation"),
        *("metamodel/settings", "metamodel/learning", "metamodel/trading"),
    ),
    "infra/files": (),
    "infra/feeds": (),
    "infra/apart": (),
    "infra/exchange": ("infra/feeds",),
    "infra/live": ("infra/feeds", "infra/files", "infra/runs", "infra/telemetry", "infra/training_sessions"),
    "infra/report": (),
    "infra/telemetry": (),
    "infra/runs": ("infra/files", "infra/report"),
    "infra/policies": ("infra/files", "infra/runs", "infra/training"),
    "infra/training": ("infra/runs",),
    "infra/training_sessions": (
        *("infra/policies", "infra/report", "infra/runs", "infra/telemetry", "infra/training"),
    ),
    "infra/evaluation": ("infra/files", "infra/report", "infra/runs", "infra/training"),
    "infra/kafka/broker": ("infra/runs",),
    "infra/kafka/worker": (
        *("infra/apart", "infra/runs", "infra/telemetry", "infra/training"),
        "infra/kafka/broker",
    ),
    "infra/kafka/tools": (
        *(
            "infra/files",
            "infra/feeds",
            "infra/live",
            "infra/runs",
            "infra/telemetry",
            "infra/training_sessions",
        ),
        *("infra/kafka/broker", "infra/kafka/worker"),
    ),
    "infra/schemas": ("infra/kafka/broker",),
    "infra/status": ("infra/runs", "infra/telemetry", "infra/kafka/broker"),
    "infra/cockpit": ("infra/live", "infra/status", "infra/kafka/broker", "infra/kafka/tools"),
    "infra/dev": ("infra/policies", "infra/runs", "infra/training", "infra/training_sessions"),
    "infra/cli": (
        "infra/apart",
        *(
            "infra/files",
            "infra/report",
            "infra/runs",
            "infra/telemetry",
            "infra/training",
            "infra/policies",
            "infra/evaluation",
            "infra/feeds",
            "infra/exchange",
            "infra/live",
        ),
        *("infra/schemas", "infra/status", "infra/cockpit", "infra/dev"),
        *("infra/kafka/broker", "infra/kafka/worker", "infra/kafka/tools"),
    ),
}
"""Which rooms of the same layer a room may import, for types alone too; the layers below are open to all of it."""

LOOSE = {"metamodel/config.py", "infra/market.py"}
"""Names that people import from where they always were: one file each, which only passes them on."""


def room_of(module: str) -> str | None:
    """The room that a module lies in, None of agents, streams, what is loose and what is not ours."""
    name = "/".join(module.split(".")[1:]) + "/"
    return next((room for room in ROOMS if name.startswith(room + "/")), None)


class TestRooms:
    def test_the_table_has_no_cycle(self) -> None:
        assert set(TopologicalSorter(ROOMS).static_order()) == set(ROOMS)

    def test_every_file_of_metamodel_and_infra_lies_in_a_room(self) -> None:
        loose = {
            name_of(path)
            for module, path in MODULES.items()
            if name_of(path).startswith(("metamodel/", "infra/"))
            and path.name != "__init__.py"
            and room_of(module) is None
        }
        assert loose == LOOSE

    @pytest.mark.parametrize("room", ROOMS)
    def test_a_room_imports_only_rooms_below_it(self, room: str) -> None:
        layer = room.partition("/")[0]
        sources = [path for module, path in MODULES.items() if room_of(module) == room]
        assert sources
        for path in sources:
            for module in imports(path):
                below = room_of(module)
                if below is not None and below != room and below.startswith(f"{layer}/"):
                    assert below in ROOMS[room], f"{name_of(path)} imports {module}"

    def test_what_is_loose_is_for_callers_from_outside(self) -> None:
        loose = {module_of(ROOT / name) for name in LOOSE}
        for path in SOURCES:
            assert not set(imports(path)) & loose, f"{name_of(path)} can import the room itself"


class TestWhatOnlyTestsUse:
    TESTING = "windvane.streams.testing"

    @every_source
    def test_no_source_imports_it(self, path: Path) -> None:
        if not module_of(path).startswith(self.TESTING):
            assert not [
                m for m in imports(path) if m.startswith(self.TESTING) or m in ("pytest", "hypothesis")
            ]

    def test_every_other_module_is_reached_from_a_program_or_a_public_name(self) -> None:
        """A module that only tests import belongs into streams/testing, or into tests."""
        waiting = {module_of(ROOT / name) for name in LOOSE} | {"windvane.infra.cli.main"}
        waiting |= {f"windvane.{home}" for home in windvane._HOMES.values()}
        waiting |= {"windvane.infra.dev.selfcheck"}  # of windvane.testing, which lies beside the links
        waiting |= {"windvane.infra.policies.folder"}  # of windvane.policy_folders, which lies there, too
        waiting |= {
            m for m, path in MODULES.items() if '__name__ == "__main__"' in path.read_text(encoding="utf-8")
        }
        reached: set[str] = set()
        while waiting:
            module = waiting.pop()
            if module in MODULES and module not in reached:
                reached.add(module)
                packages = {module.rsplit(".", up)[0] for up in range(1, module.count(".") + 1)}
                waiting |= packages | set(imports(MODULES[module]))
        unreached = {m for m in MODULES if m not in reached and not m.startswith(self.TESTING)}
        assert not unreached


@pytest.mark.parametrize("path", [*SOURCES, *TESTS], ids=name_of)
def test_our_folders_are_imported_as_parts_of_windvane(path: Path) -> None:
    bare = {module for module in imports(path) if module.split(".")[0] in LAYERS}
    assert not bare, f"{name_of(path)} imports {bare}: write windvane. before it"


def test_no_two_files_of_tests_have_one_name() -> None:
    """The suite could not be collected: pytest imports them as modules of the same name."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("path", [*SOURCES, *TESTS], ids=name_of)
def test_files_stay_short(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST, f"{name_of(path)} has {lines} lines: split it, one noun a file"


@every_source
def test_no_bytes_that_run_code_are_ever_loaded(path: Path) -> None:
    assert not {m.split(".")[0] for m in imports(path)} & UNSAFE
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Call):
            called = dotted(node.func)
            tensors_alone = any(
                k.arg == "weights_only" and isinstance(k.value, ast.Constant) and k.value.value is True
                for k in node.keywords
            )
            if not (path == READS_TENSORS and called == "torch.load" and tensors_alone):
                assert called not in ("torch.load", "torch.jit.load", "eval", "exec"), (
                    f"{name_of(path)}:{node.lineno}"
                )
            unpickles = called in ("np.load", "numpy.load") and any(
                k.arg == "allow_pickle" and not (isinstance(k.value, ast.Constant) and k.value.value is False)
                for k in node.keywords
            )
            assert not unpickles, f"{name_of(path)}:{node.lineno}"


def test_what_asks_torch_for_tensors_is_imported_by_nobody() -> None:
    assert not [name_of(path) for path in SOURCES if module_of(READS_TENSORS) in imports(path)]


@pure_source
def test_below_infra_there_is_no_clock_and_no_world(path: Path) -> None:
    used = {m.split(".")[0] for m in imports(path)}
    assert not used & CLOCKS, f"{name_of(path)} reads a clock"
    if path == CACHE:
        used -= {"os", "sys", "pathlib"}
    if path in LEARNERS:
        used -= {"torch"}
    assert not used & WORLD, f"{name_of(path)} touches the world"


@pure_source
def test_below_infra_nothing_is_opened_printed_or_drawn_from_global_state(path: Path) -> None:
    for node in ast.walk(parsed(path)):
        where = f"{name_of(path)}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in CALLS, where
        if isinstance(node, ast.Attribute):
            name = dotted(node)
            head, *_, tail = name.split(".")
            if name.startswith(("np.random.", "numpy.random.")):
                assert name.split(".")[2] in GENERATORS, f"{where}: {name}"
            if head in ("np", "numpy"):
                assert tail not in ("load", "save", "savez", "fromfile", "memmap", "loadtxt", "genfromtxt"), (
                    where
                )
            if path != CACHE:
                assert tail not in TIMES, f"{where}: {name}"


@pure_source
def test_no_statement_changes_a_module_while_it_runs(path: Path) -> None:
    for node in ast.walk(parsed(path)):
        assert not isinstance(node, ast.Global), f"{name_of(path)}:{node.lineno} keeps state in a module"


HEAVY = ("torch", "onnx", "onnxruntime", "sklearn", "faust", "aiokafka", "ccxt", "gymnasium")


def loaded(code: str) -> set[str]:
    """Modules of HEAVY that are loaded when code has run in a process of its own."""
    tell = f"import sys; sys.stdout.write(','.join(m for m in {HEAVY} if m in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{tell}"], capture_output=True, text=True, check=True, timeout=300
    )
    return set(filter(None, done.stdout.split(",")))


def test_a_backtest_of_rule_agents_loads_no_framework() -> None:
    code = "import windvane.infra.runs.backtest, windvane.infra.market, windvane.infra.runs.warmup as w\nw.warm_up()"
    assert loaded(code) == set()


def test_importing_the_package_and_the_command_line_is_light() -> None:
    code = "import windvane, windvane.infra.cli.main\nimport sys\nassert 'numba' not in sys.modules"
    assert loaded(code) == set()
