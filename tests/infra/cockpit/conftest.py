"""A browser, a simulated book, and a cockpit that shows it."""

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from cockpit_browser import ROWS
from cockpit_harness import Running, Simulated, minutes


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    driven = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install 'windvane[dev]'")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no chromium: install the system's, such as `apt-get install chromium`")
    with driven.sync_playwright() as driver:
        flags = ["--no-sandbox"] if os.geteuid() == 0 else []
        opened = driver.chromium.launch(executable_path=chromium, args=flags)
        yield opened
        opened.close()


@pytest.fixture
def source() -> Simulated:
    made = Simulated([minutes(ROWS + 400, "main"), minutes(700, "other", seed=2)])
    made.feed("main", ROWS)
    made.feed("other", 600)
    return made


@pytest.fixture
def running(source: Simulated) -> Iterator[Running]:
    with Running(source) as made:
        yield made


@pytest.fixture(scope="module")
def shown() -> Iterator[Running]:
    """For tests that only look."""
    made = Simulated([minutes(ROWS, "main")])
    made.feed("main", ROWS)
    with Running(made) as running:
        yield running
