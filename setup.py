"""Refuses to build half a package; all that is built is described in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).resolve().parent

for name in ("agents", "infra", "metamodel", "streams"):
    if not (ROOT / "src" / "windvane" / name).is_dir():
        raise SystemExit(
            f"windvane cannot be built: src/windvane/{name} is to be a link to the folder {name}, and is not, since "
            "git made no symbolic links here: run `git config core.symlinks true` and `git checkout -- src/windvane` "
            "(on Windows in Developer Mode), or install a wheel or an sdist"
        )

# setuptools would take into the wheel what an earlier build left there, files that are gone since among them.
shutil.rmtree(ROOT / "build" / "lib", ignore_errors=True)

setup()
