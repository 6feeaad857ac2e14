"""What the sources may import and touch: arrows point one way, and only infra/ knows the world."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAYERS = ("agents", "metamodel", "streams", "infra")
PURE = LAYERS[:3]
SOURCES = [p for layer in LAYERS for p in sorted((ROOT / layer).rglob("*.py"))]
TESTS = sorted((ROOT / "tests").rglob("*.py"))
CACHE = (
    ROOT / "agents" / "kernel.py"
)  # the one file below infra/ that knows a folder: that of compiled kernels
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
            if module == "windvane":
                yield from (f"windvane.{alias.name}" for alias in node.names)
            else:
                yield module


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
    assert {"windvane.streams", "windvane.streams.stage"} <= set(imports(ROOT / "streams" / "topology.py"))


@every_source
def test_arrows_point_one_way(path: Path) -> None:
    layer = LAYERS.index(path.relative_to(ROOT).parts[0])
    allowed = set(LAYERS[: layer + 1])
    for module in imports(path):
        first, _, rest = module.partition(".")
        if first == "windvane":
            assert rest.split(".")[0] in allowed, f"{name_of(path)} imports {module}"


@pytest.mark.parametrize("path", [*SOURCES, *TESTS], ids=name_of)
def test_our_folders_are_imported_as_parts_of_windvane(path: Path) -> None:
    bare = {module for module in imports(path) if module.split(".")[0] in LAYERS}
    assert not bare, f"{name_of(path)} imports {bare}: write windvane. before it"


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
            assert called not in ("torch.load", "torch.jit.load", "eval", "exec"), (
                f"{name_of(path)}:{node.lineno}"
            )
            unpickles = called in ("np.load", "numpy.load") and any(
                k.arg == "allow_pickle" and not (isinstance(k.value, ast.Constant) and k.value.value is False)
                for k in node.keywords
            )
            assert not unpickles, f"{name_of(path)}:{node.lineno}"


@pure_source
def test_below_infra_there_is_no_clock_and_no_world(path: Path) -> None:
    used = {m.split(".")[0] for m in imports(path)}
    assert not used & CLOCKS, f"{name_of(path)} reads a clock"
    if path == CACHE:
        used -= {"os", "sys", "pathlib"}
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


HEAVY = ("torch", "onnxruntime", "sklearn", "faust", "aiokafka", "ccxt", "gymnasium")


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
