"""The page in a browser: it loads, draws and updates, and says when something is wrong."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cockpit_harness
import pytest
from cockpit_browser import ROWS, Tab, opened, until
from cockpit_harness import Running, Simulated, minutes

from windvane.infra.report.palette import CYCLE, DARK, ENSEMBLE

PAGE = Path(cockpit_harness.__file__).resolve().parents[2] / "infra" / "cockpit" / "page"


def test_it_is_usable_within_a_second_with_a_day_of_minutes(browser: Any, shown: Running) -> None:
    opened(browser, shown).context.close()  # the browser itself has started
    took = [99.0]
    while min(took) >= 1.0 and len(took) <= 5:  # others may have the processor at any one moment
        tab = Tab(browser, shown.url)
        began = time.monotonic()
        until("usable page", tab.usable)
        took.append(time.monotonic() - began)
        assert tab.complaints == []
        tab.context.close()
    assert min(took) < 1.0


def test_page_and_scripts_are_small() -> None:
    assert sum(file.stat().st_size for file in PAGE.rglob("*") if file.is_file()) < 250_000


def test_it_shows_the_book_and_what_is_new(browser: Any, running: Running, source: Simulated) -> None:
    tab = opened(browser, running)
    assert "▶ active" in tab.tile("State")
    assert (
        tab.text("#books")
        == f"main{tab.text('#books button span')}other{tab.text('#books button:last-child span')}"
    )
    until("first row", lambda: f"{ROWS:,}" in tab.text("#health"))
    running.call(source.feed, "main", 3)
    until("new rows", lambda: f"{ROWS + 3:,}" in tab.text("#health"))
    until("new row in the table", lambda: tab.page.get_attribute("#rows button", "data-seq") == str(ROWS + 2))
    tab.page.click("#older button")
    until("older rows", lambda: tab.page.evaluate("document.querySelector('#older').hidden"))
    tab.page.click('[data-book="other"]')
    until("the other book", lambda: tab.page.get_attribute("#rows button", "data-seq") == "599")
    assert tab.complaints == []
    tab.context.close()


def test_a_row_explains_itself(browser: Any, running: Running, source: Simulated) -> None:
    tab = opened(browser, running)
    tab.page.click("#rows tbody tr:nth-child(4) button")
    until("its row", lambda: f"Row {ROWS - 4:,} at" in tab.text("#why"))
    said = tab.text("#why")
    for agent in source.timeline("main").agents:
        assert agent.replace("_", " ") in said
    assert "Sum " in said
    assert "after the gates" in said
    running.call(source.feed, "main", 1)
    until("new row", lambda: tab.page.get_attribute("#rows button", "data-seq") == str(ROWS))
    assert f"Row {ROWS - 4:,} at" in tab.text("#why")  # what is read stays
    tab.context.close()


def test_nothing_that_is_told_becomes_html(browser: Any) -> None:
    name = "<img src=x onerror=document.title='taken'>"
    source = Simulated([minutes(600, name)])
    source.feed(name, 560)
    source.no_control = "<b id=taken>no key</b>"
    with Running(source) as running:
        tab = Tab(browser, running.url)
        until("rows", lambda: tab.text("#rows"))
        assert name in tab.text("#books")
        assert "<b id=taken>" in tab.text("#trouble")
        assert tab.page.evaluate("document.querySelector('img, #taken')") is None
        assert tab.page.evaluate("document.querySelector('#buttons button').disabled")
        assert tab.page.title() == "Windvane"
        tab.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 400])
def test_it_fits_the_screen_and_axe_finds_nothing(
    browser: Any, shown: Running, scheme: str, width: int
) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="no axe: pip install 'windvane[dev]'"
    )
    tab = opened(browser, shown, color_scheme=scheme, viewport={"width": width, "height": 900})
    assert tab.page.evaluate("document.documentElement.scrollWidth") == width
    found = axe.Axe().run(tab.page).response["violations"]
    assert [(one["id"], [node["html"] for node in one["nodes"]][:3]) for one in found] == []
    tab.page.click("#sign")
    found = axe.Axe().run(tab.page).response["violations"]
    assert [(one["id"], [node["html"] for node in one["nodes"]][:3]) for one in found] == []
    tab.context.close()


class Process:
    """The cockpit in a process of its own, which a test may stop."""

    def __init__(self, port: int) -> None:
        command = [sys.executable, cockpit_harness.__file__, str(port)]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def free_port() -> int:
    with socket.socket() as link:
        link.bind(("127.0.0.1", 0))
        return int(link.getsockname()[1])


def test_it_is_red_while_the_pipeline_hangs_or_is_gone_and_comes_back_by_itself(browser: Any) -> None:
    port = free_port()
    process = Process(port)
    try:
        tab = Tab(browser, process.url)
        until("usable page", tab.usable)
        until("live", lambda: "● live" in tab.text("#link"))
        process.process.send_signal(signal.SIGSTOP)
        until("red page", lambda: "SERVER GONE" in tab.text("#link"), 8.0)
        assert tab.page.evaluate("document.body.classList.contains('alarm')")
        process.process.send_signal(signal.SIGCONT)
        until("live again", lambda: "● live" in tab.text("#link"))
        process.end()
        until("red page", lambda: "SERVER GONE" in tab.text("#link"), 8.0)
        process = Process(port)
        until("live again", lambda: "● live" in tab.text("#link"))
        assert not tab.page.evaluate("document.body.classList.contains('alarm')")
        tab.context.close()
    finally:
        process.end()


def test_the_page_has_the_colours_of_the_report() -> None:
    css = (PAGE / "cockpit.css").read_text()
    light, dark = css.split("prefers-color-scheme: dark", 1)
    for k, code in enumerate(CYCLE):
        assert f"--c{k}: {code};" in light
        assert code not in DARK or f"--c{k}: {DARK[code]};" in dark
    assert f"--ensemble: {ENSEMBLE};" in light
