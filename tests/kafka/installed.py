"""The wheel in an environment of its own, away from the checkout, as a person has it who typed `pip install`."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.parser import HeaderParser
from importlib.metadata import Distribution, distribution
from pathlib import Path

from broker import ROOT
from numba.core.caching import UserProvidedCacheLocator
from packaging.requirements import Requirement

import windvane
from windvane.agents.kernel import cache_folder

DOCKERFILE = (ROOT / "infra" / "deploy" / "Dockerfile").read_text()
(WARM_UP,) = re.findall(r"RUN WINDVANE_CACHE=\S+ /opt/windvane/bin/(\S+ -m \S+)", DOCKERFILE)
RIGHT = (
    WARM_UP,
    "windvane doctor",
    "windvane simulate --ticks 2000 --seed 7 --out market.parquet",
    "windvane backtest market.parquet --book bars --retraining off --out run",
)
"""What core requirements are enough for, in this order."""

KAFKA = (
    "windvane replay market.parquet --book bars",
    "windvane up",
    "windvane orders",
    "windvane schemas --out schemas",
)
TRAIN = ("windvane train regime --out here",)
"""What takes an extra, and must say so."""

USER = int(re.findall(r"^USER (\d+):", DOCKERFILE, re.MULTILINE)[-1])
"""Who the image's processes run as."""


@dataclass(frozen=True)
class Installed:
    """An environment, and a folder to work in: home, kernels, results."""

    venv: Path
    work: Path

    @property
    def script(self) -> Path:
        """The console script."""
        return self.venv / "bin" / "windvane"

    @property
    def environment(self) -> dict[str, str]:
        """Nothing of this process but where programs are."""
        return {
            "PATH": f"{self.venv / 'bin'}:{os.environ['PATH']}",
            "HOME": str(self.work),
            "WINDVANE_CACHE": str(self.work / "kernels"),
            "COLUMNS": "200",
        }

    def run(
        self, *words: object, more: Mapping[str, str] | None = None, seconds: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """A command of this environment's folder of programs, run in the work folder."""
        command = [self.venv / "bin" / str(words[0]), *map(str, words[1:])]
        return subprocess.run(
            command,
            cwd=self.work,
            env=self.environment | dict(more or {}),
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )


def install(base: Path, work: Path) -> Installed:
    """The wheel of this checkout with its requirements alone, no extras."""
    tree, made = base / "tree", base / "wheel"
    shutil.copytree(ROOT / "src", tree / "src", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy2(ROOT / name, tree)
    made.mkdir()
    code = f"from setuptools import build_meta as b; b.build_wheel({str(made)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=tree, check=True, capture_output=True, timeout=120)
    shutil.rmtree(tree)
    (wheel,) = made.iterdir()
    venv = base / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True, timeout=120)
    found = Installed(venv, work)
    pip(found, "install", "--quiet", "--no-deps", "--no-index", "--no-compile", wheel)
    _adopt(found, _needed(_requirements(wheel), ""))
    pip(found, "check")
    _lend_kernels(found)
    return found


def add(installed: Installed, extra: str) -> None:
    """The requirements of an extra, too."""
    (site,) = installed.venv.glob("lib/python*/site-packages")
    (metadata,) = site.glob("windvane-*.dist-info/METADATA")
    found = HeaderParser().parsestr(metadata.read_text(encoding="utf-8"))
    _adopt(installed, _needed(found.get_all("Requires-Dist", []), extra))
    pip(installed, "check")


def pip(installed: Installed, *words: object) -> None:
    """The pip of this process on that environment."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", installed.venv]
    subprocess.run(
        [*command, *map(str, words)], check=True, timeout=300, env=dict(os.environ) | {"PYTHONPATH": ""}
    )


def _requirements(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return HeaderParser().parsestr(archive.read(name).decode()).get_all("Requires-Dist", [])


def _needed(requirements: Iterable[str], extra: str) -> dict[str, Distribution]:
    """All that pip would install for these, of the versions that CI runs, and what those require in turn."""
    found: dict[str, Distribution] = {}
    waiting = [(Requirement(text), extra) for text in requirements]
    seen: set[tuple[str, str]] = set()
    while waiting:
        requirement, of = waiting.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": of}):
            continue
        for wanted in ("", *requirement.extras):
            if (requirement.name.lower(), wanted) not in seen:
                seen.add((requirement.name.lower(), wanted))
                there = found[requirement.name.lower()] = distribution(requirement.name)
                waiting += [(Requirement(text), wanted) for text in there.requires or ()]
    return found


def _adopt(installed: Installed, distributions: Mapping[str, Distribution]) -> None:
    """Link their files: unpacking half a gigabyte again would take half a minute."""
    (site,) = installed.venv.glob("lib/python*/site-packages")
    for there in distributions.values():
        for file in there.files or ():
            source, target = Path(str(there.locate_file(file))), site / file
            if ".." in file.parts or not source.is_file() or target.exists():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(source, target)
            except OSError:  # on another disk
                shutil.copy2(source, target)


def _lend_kernels(installed: Installed) -> None:
    """What is compiled of the same sources, under the names that numba looks for; it compares digests of sources."""
    ours = Path(windvane.__file__).parent
    (theirs,) = installed.venv.glob("lib/python*/site-packages/windvane")
    for folder in {path.parent.relative_to(theirs) for path in theirs.rglob("*.py")}:
        names = [
            UserProvidedCacheLocator.get_suitable_cache_subpath(str(package / folder / "any.py"))
            for package in (ours, theirs)
        ]
        if (cache_folder() / names[0]).is_dir():
            shutil.copytree(
                cache_folder() / names[0], installed.work / "kernels" / cache_folder().name / names[1]
            )
