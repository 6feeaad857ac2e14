"""The public names of the package: the same for who runs it, for type checkers and editors, and in the reference."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import windvane

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "windvane" / "__init__.py"
HOMES: dict[str, str] = vars(windvane)["_HOMES"]


def seen_by_type_checkers() -> dict[str, str]:
    """Public name and module below windvane, of every import under `if TYPE_CHECKING`."""
    homes: dict[str, str] = {}
    for node in ast.parse(SOURCE.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for line in node.body:
                assert isinstance(line, ast.ImportFrom)
                for alias in line.names:
                    assert alias.asname == alias.name, f"write {alias.name} as {alias.name}: it is exported"
                    homes[alias.name] = str(line.module).removeprefix("windvane.")
    return homes


class TestBothLists:
    def test_type_checkers_see_the_names_that_the_package_has(self) -> None:
        assert seen_by_type_checkers() == HOMES

    def test_all_names_every_one_of_them(self) -> None:
        assert sorted((*HOMES, "__version__")) == windvane.__all__ == dir(windvane)

    @pytest.mark.parametrize("name", HOMES)
    def test_a_name_is_what_its_module_has(self, name: str) -> None:
        assert getattr(windvane, name) is getattr(import_module(f"windvane.{HOMES[name]}"), name)

    def test_another_name_is_refused_with_those_that_there_are(self) -> None:
        with pytest.raises(AttributeError, match=r"windvane has no 'Agnet': it has AGENTS, Agent,"):
            _ = windvane.Agnet  # type: ignore[attr-defined]


def test_mypy_sees_types_and_no_misspelt_name(tmp_path: Path) -> None:
    """One import is followed, the cache of `make lint` is used where it is there."""
    program = tmp_path / "program.py"
    program.write_text("import windvane\nreveal_type(windvane.create_agents)\nwindvane.create_agnets\n")
    command = [sys.executable, "-m", "mypy", "--config-file", ROOT / "pyproject.toml", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    said = done.stdout
    assert 'note: Revealed type is "def (names: typing.Sequence[str]) -> list[' in said, said + done.stderr
    assert 'Module has no attribute "create_agnets"' in said


def test_the_reference_has_every_public_name() -> None:
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    shown = re.findall(r"^::: windvane\.(\w+)$", page, re.MULTILINE)
    assert sorted(shown) == sorted(HOMES)


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert windvane.__version__ == project["version"]
