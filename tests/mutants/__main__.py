"""Puts one fault at a time into a copy of the checkout and runs the tests that must notice it.

    PYTHONPATH=tests python -m mutants [WORD ...]

With words, only mutations whose name has one of them are tried. The exit code is 1 where a mutation survives, where its
place is not in the sources any more, or where its tests do not run. Kernels are not compiled but run as Python, so that
a mutation of a kernel takes no longer than another.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mutants.mutation import AnchorError, Mutation, edit
from mutants.mutations import MUTATIONS

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 600  # seconds of the tests of one mutation
GIT = shutil.which("git") or "git"


def checkout(to: Path) -> Path:
    """All files of the checkout as they are now, links as links, and an index of them, which tests of packaging ask."""
    listed = [GIT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    for name in filter(None, names):
        if (ROOT / name).exists() or (ROOT / name).is_symlink():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name, follow_symlinks=False)
    subprocess.run([GIT, "init", "--quiet"], cwd=to, check=True)
    subprocess.run([GIT, "add", "--all"], cwd=to, capture_output=True, check=True)
    return to


def pytest(tree: Path, tests: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run tests of a copy until one fails; the copy's sources are imported, whatever is installed."""
    environment = {
        **os.environ,
        "NUMBA_DISABLE_JIT": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": os.pathsep.join(
            filter(None, [str(tree / "src"), str(tree / "tests"), os.environ.get("PYTHONPATH")])
        ),
        "WINDVANE_CACHE": str(tree / "kernels"),
    }
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "mutants.python_kernels",
    ]
    command += ["--hypothesis-seed=0", *tests]
    return subprocess.run(
        command, cwd=tree, env=environment, capture_output=True, text=True, check=False, timeout=LONGEST
    )


def passes(tests: Sequence[str], pristine: Path) -> bool:
    """Whether tests pass without a mutation: where they do not, they notice nothing by failing."""
    try:
        return pytest(pristine, tests).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def verdict(mutation: Mutation, pristine: Path, sound: bool) -> tuple[bool, str, float]:
    """Whether the tests notice a mutation of the pristine copy, the verdict in words, and the seconds that it took.

    sound: whether these tests pass without it.
    """
    began = time.perf_counter()

    def done(noticed: bool, words: str) -> tuple[bool, str, float]:
        return noticed, words, time.perf_counter() - began

    if not sound:
        return done(False, f"TESTS FAIL WITHOUT IT: {', '.join(mutation.tests)}")
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        tree = Path(shutil.copytree(pristine, Path(folder) / "tree", symlinks=True))
        try:
            path, text = edit(tree, mutation)
        except AnchorError as error:
            return done(False, f"NO PLACE: {error}")
        (tree / path).write_text(text, encoding="utf-8")
        try:
            ran = pytest(tree, mutation.tests)
        except subprocess.TimeoutExpired:
            return done(False, f"NOT ENDED after {LONGEST} s")
    if ran.returncode == 1:
        failed = next((line for line in ran.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))), "")
        if "NameError" in failed:
            return done(False, f"NO PYTHON: {failed}")
        return done(True, failed.split(" - ")[0].rpartition("::")[2] or "a test that failed")
    if ran.returncode == 0:
        return done(False, f"SURVIVES {', '.join(mutation.tests)}")
    return done(False, f"TESTS DID NOT RUN: {' '.join((ran.stdout + ran.stderr).split())[-300:]}")


def main() -> int:
    """Run the mutations and print a table of their verdicts."""
    parser = argparse.ArgumentParser(prog="mutants", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("words", nargs="*", help="only mutations whose name has one of these words")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="copies that are tested at once"
    )
    options = parser.parse_args()
    chosen = [m for m in MUTATIONS if not options.words or any(word in m.name for word in options.words)]
    console = Console(width=max(Console().width, 120))
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        pristine = checkout(Path(folder) / "tree")
        with ThreadPoolExecutor(options.jobs) as pool:
            suites = list({m.tests: None for m in chosen})
            sound = dict(zip(suites, pool.map(lambda tests: passes(tests, pristine), suites), strict=True))
            verdicts = list(pool.map(lambda m: verdict(m, pristine, sound[m.tests]), chosen))
    table = Table("mutation", "noticed", "by", "s")
    for mutation, (noticed, words, seconds) in zip(chosen, verdicts, strict=True):
        table.add_row(mutation.name, "yes" if noticed else "NO", words, f"{seconds:.0f}")
    console.print(table, markup=False)
    survivors = sum(not noticed for noticed, _, _ in verdicts)
    console.print(f"{len(chosen)} mutations, {survivors} not noticed")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
