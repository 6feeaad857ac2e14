"""What is built is the whole package, the same from a checkout and from its sdist, and nothing else."""

import ast
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from windvane.infra.cli import doctor

ROOT = Path(__file__).resolve().parents[2]
GIT = shutil.which("git") or "git"
LAYERS = ("agents", "metamodel", "streams", "infra")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
JUNK = (
    "infra/deploy/secrets/control_key",
    "infra/deploy/windvane.env",
    "agents/__pycache__/base.cpython-311.pyc",
    "metamodel/learning/members/.members.safetensors.swp",
    "build/lib/windvane/agents/gone.py",
)


def committed(*paths: str) -> set[str]:
    done = subprocess.run([GIT, "ls-files", "-z", *paths], cwd=ROOT, capture_output=True, check=True)
    return {name for name in done.stdout.decode().split("\0") if name and (ROOT / name).exists()}


SOURCES = {f"windvane/{name}" for name in committed(*LAYERS)} | {
    name.removeprefix("src/") for name in committed("src") if not (ROOT / name).is_symlink()
}


def checkout(to: Path) -> Path:
    """The committed files as they are now, links as links."""
    for name in committed():
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, to / name, follow_symlinks=False)
    return to


def build(tree: Path, what: str, out: Path) -> Path:
    """The file that setuptools builds, in a process of its own as every front end does it."""
    out.mkdir(exist_ok=True)
    code = f"from setuptools import build_meta as b; b.build_{what}({str(out)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=tree, capture_output=True, check=True, timeout=120)
    (made,) = out.iterdir()
    return made


def pip(*words: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, words)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=300)


def unpacked(wheel: Path) -> dict[str, tuple[bytes, bool]]:
    """Name, bytes and whether it may be executed, of every file of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        files = [info for info in archive.infolist() if not info.is_dir()]
        return {i.filename: (archive.read(i), bool(i.external_attr >> 16 & 0o100)) for i in files}


def of_package(files: dict[str, tuple[bytes, bool]]) -> dict[str, tuple[bytes, bool]]:
    return {name: file for name, file in files.items() if ".dist-info/" not in name}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout that was worked in: with secrets, caches, and what an earlier build left."""
    tree = checkout(tmp_path_factory.mktemp("tree"))
    for name in JUNK:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text("not for anybody else")
    return tree


@pytest.fixture(scope="module")
def wheel(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As a person builds it, with the build's own setuptools."""
    out = tmp_path_factory.mktemp("wheel")
    done = pip("wheel", "--no-deps", "--wheel-dir", out, ".", cwd=tree)
    assert done.returncode == 0, done.stderr
    (made,) = out.iterdir()
    return made


@pytest.fixture(scope="module")
def sdist(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tree, "sdist", tmp_path_factory.mktemp("sdist"))


def test_the_wheel_holds_every_committed_file_and_no_other(wheel: Path) -> None:
    found = of_package(unpacked(wheel))
    assert set(found) == SOURCES
    for name, (content, executable) in found.items():
        path = ROOT / "src" / name
        assert content == path.read_bytes(), name
        assert executable == bool(path.stat().st_mode & 0o100), name
    assert "windvane/metamodel/learning/members/members.safetensors" in found


def test_the_licence_goes_with_the_package(wheel: Path, sdist: Path) -> None:
    text = (ROOT / "LICENSE").read_bytes()
    (inside,) = (
        file for name, file in unpacked(wheel).items() if name.endswith(".dist-info/licenses/LICENSE")
    )
    assert inside[0] == text
    with tarfile.open(sdist) as archive:
        (member,) = (
            m for m in archive.getmembers() if m.name.count("/") == 1 and m.name.endswith("/LICENSE")
        )
        extracted = archive.extractfile(member)
        assert extracted is not None
        assert extracted.read() == text
    assert PROJECT["license"] == "Apache-2.0"


def test_the_sdist_holds_them_too_and_builds_the_same_wheel(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (top,) = tmp_path.iterdir()
    files = {str(p.relative_to(top / "src")) for p in (top / "src").rglob("*") if p.is_file()}
    assert {name for name in files if ".egg-info/" not in name} == SOURCES
    assert not [p for p in top.rglob("*") if p.is_symlink()], "links lead nowhere on another machine"
    again, first = unpacked(build(top, "wheel", tmp_path / "out")), unpacked(wheel)
    assert set(again) == set(first)
    by_tool = re.compile(r"\.dist-info/(WHEEL|RECORD)$")  # the version of setuptools, and its digest
    for name in first:
        assert by_tool.search(name) or again[name] == first[name], name


def test_the_image_is_given_all_that_a_build_reads(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        tops = {name.split("/")[1] for name in archive.getnames() if "/" in name}
    needed = {name for name in tops if name in committed()} | {"src", *LAYERS}
    assert {"pyproject.toml", "setup.py"} <= needed
    docker = (ROOT / "infra" / "deploy" / "Dockerfile").read_text()
    copied = {
        word
        for words in re.findall(r"^COPY (?!--)(.*)$", docker, re.MULTILINE)
        for word in words.split()[:-1]
    }
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert needed <= copied
    assert needed <= let_in


def test_a_clone_without_links_is_refused_in_a_sentence_that_says_what_to_do(tmp_path: Path) -> None:
    def git(where: Path, *words: str) -> None:
        who = ["-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "core.autocrlf=false"]
        subprocess.run([GIT, "-C", where, *who, *words], check=True, capture_output=True)

    origin, clone = checkout(tmp_path / "origin"), tmp_path / "clone"
    git(origin, "init", "--quiet")
    git(origin, "add", "--all")
    git(origin, "commit", "--quiet", "--message", "all")
    git(tmp_path, "clone", "--quiet", "--config", "core.symlinks=false", str(origin), str(clone))
    assert (clone / "src" / "windvane" / "agents").read_text() == "../../agents"
    done = pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path / "out", ".", cwd=clone)
    assert done.returncode != 0
    assert not list(tmp_path.glob("out/*"))
    (said,) = {line.strip() for line in done.stderr.splitlines() if "windvane cannot be built" in line}
    assert "Traceback" not in done.stderr
    for words in re.findall(r"`git (.*?)`", said):
        git(clone, *words.split())
    assert of_package(unpacked(build(clone, "wheel", tmp_path / "wheel"))).keys() == SOURCES


# ---- what is installed with it


def named(requirements: list[str]) -> set[str]:
    return {_plain(Requirement(text).name) for text in requirements} - {"windvane"}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def imported() -> dict[str, set[str]]:
    """Distributions that the sources import, wherever in a file, and the files that do."""
    providers = packages_distributions()
    found: dict[str, set[str]] = {}
    for name in SOURCES:
        if not name.endswith(".py"):
            continue
        for node in ast.walk(ast.parse((ROOT / "src" / name).read_bytes())):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            for module in {module.partition(".")[0] for module in modules}:
                for provider in providers.get(module, []):
                    found.setdefault(_plain(provider), set()).add(name)
    found.pop("windvane", None)
    return found


CORE = named(PROJECT["dependencies"])
EXTRAS = {name: named(texts) for name, texts in PROJECT["optional-dependencies"].items()}


def test_every_requirement_is_imported_and_every_import_is_required() -> None:
    assert CORE | EXTRAS["kafka"] | EXTRAS["live"] | EXTRAS["train"] | EXTRAS["gym"] == set(imported())
    assert not CORE & (EXTRAS["kafka"] | EXTRAS["train"])
    assert not EXTRAS["kafka"] & EXTRAS["train"]
    (every,) = PROJECT["optional-dependencies"]["all"]
    assert Requirement(every).extras == EXTRAS.keys() - {"all", "dev", "docs"}


@pytest.mark.parametrize(
    ("extra", "where"),
    [
        ("kafka", ("kafka/", "telemetry/", "status/", "cockpit/", "feeds/", "exchange/")),
        ("live", ("kafka/", "telemetry/", "status/", "cockpit/", "feeds/", "exchange/")),
        ("train", ("training/", "policies/", "windvane/agents/learned/")),
    ],
)
def test_an_extra_is_imported_only_where_it_is_asked_for(extra: str, where: tuple[str, ...]) -> None:
    for distribution in EXTRAS[extra]:
        for name in imported()[distribution]:
            assert name.removeprefix("windvane/infra/").startswith(where), f"{name} imports {distribution}"


def test_ci_pins_a_version_of_everything_that_is_asked_for() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = {_plain(line.split("==")[0]): line.split("==")[1] for line in lines if not line.startswith("#")}
    every = [
        *PROJECT["dependencies"],
        *(t for texts in PROJECT["optional-dependencies"].values() for t in texts),
    ]
    for requirement in map(Requirement, every):
        if requirement.name != "windvane":
            assert requirement.specifier.contains(pins[_plain(requirement.name)]), requirement


def test_doctor_names_every_requirement_that_is_missing() -> None:
    """An upgrade may need a library that the installation before it did not have."""
    modules = {"empyrical-reloaded": "empyrical"}
    required = {modules.get(name, name) for name in CORE} - {
        "rich",
        "typer",
    }  # without which nothing can be said
    assert set(doctor._NEEDED) == required
    for name in required:
        assert doctor.sentence_of(f"{name}.part") == f"{name} is missing: run `pip install windvane` again"
    assert doctor.sentence_of("nothing_of_ours") is None
