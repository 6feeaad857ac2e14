"""The page in a browser: it loads, draws, updates and halts, and says when something is wrong."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cockpit_harness
import pytest
from cockpit_harness import TOKEN, Running, Simulated, minutes

from windvane.infra.report.palette import CYCLE, DARK, ENSEMBLE

playwright = pytest.importorskip(
    "playwright.sync_api", reason="no playwright: pip install 'windvane[dev]', and a chromium of the system"
)
PAGE = Path(cockpit_harness.__file__).resolve().parents[2] / "infra" / "cockpit" / "page"
ROWS = 1600


def until(what: str, there: Callable[[], Any], seconds: float = 15.0) -> Any:
    """Poll until something is so; the page's own functions for that need what its policy forbids."""
    deadline = time.monotonic() + seconds
    while not (found := there()):
        assert time.monotonic() < deadline, f"no {what} within {seconds} s"
        time.sleep(0.02)
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no chromium: install the system's, such as `apt-get install chromium`")
    with playwright.sync_playwright() as driver:
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


class Tab:
    """A tab that shows the cockpit; what a browser complains of fails the test."""

    def __init__(self, browser: Any, url: str, **context: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1400, "height": 1000}, **context})
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._hear)
        self.page.goto(url, wait_until="commit")

    def _hear(self, message: Any) -> None:
        if message.type in ("error", "warning") and "ERR_CONNECTION_REFUSED" not in message.text:
            self.complaints.append(message.text)

    def text(self, where: str) -> str:
        return str(self.page.evaluate("(where) => document.querySelector(where)?.textContent ?? ''", where))

    def tile(self, name: str) -> str:
        return self.text(f'#tiles [data-name="{name}"]')

    def usable(self) -> bool:
        return bool(
            self.page.evaluate(
                "document.querySelectorAll('#charts canvas').length === 6 && document.querySelector('#rows tbody')"
                " && !document.querySelector('#buttons button').disabled"
            )
        )

    def sign_in(self) -> None:
        self.page.click("#sign")
        self.page.fill("#signing [name=by]", "ann")
        self.page.fill("#signing [name=token]", TOKEN)
        self.page.click("#signing [type=submit]")

    def press(self, action: str, *, twice: bool = False) -> str:
        """Press a button and confirm it; returns what the confirmation said."""
        self.page.click(f"[data-action={action}]")
        said = self.text("#confirm-text")
        self.page.click("#confirm [type=submit]", click_count=2 if twice else 1)
        return said


def opened(browser: Any, running: Running, **context: Any) -> Tab:
    tab = Tab(browser, running.url, **context)
    until("usable page", tab.usable)
    return tab


def test_it_is_usable_within_a_second_with_a_day_of_minutes(browser: Any, shown: Running) -> None:
    opened(browser, shown).context.close()  # the browser itself has started
    took = []
    for _ in range(3):
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


def test_halt_says_what_will_happen_and_then_that_it_did(
    browser: Any, running: Running, source: Simulated
) -> None:
    tab = opened(browser, running)
    tab.sign_in()
    said = tab.press("halt", twice=True)
    assert said.startswith(
        "Book main sends no more orders and keeps its position; an order that was sent is still filled."
    )
    until("answer", lambda: "in effect from row 1,600. Pressed by ann" in tab.text("#answers"))
    until("state", lambda: "■ halted" in tab.tile("State"))
    assert [(one.action, one.reason) for one in source.sent] == [("halt", "ann")]
    assert "✓" in tab.text("#answers .done")
    assert "token" not in tab.page.url
    tab.context.close()


def test_it_is_red_until_a_decision_obeys(browser: Any, running: Running, source: Simulated) -> None:
    source.obeys = False
    tab = opened(browser, running)
    tab.sign_in()
    tab.press("flatten")
    until("red answer", lambda: "NOT OBEYED YET: control 1 is written" in tab.text("#answers .failed"))
    running.call(source.feed, "main", 1)
    until("answer", lambda: "control 1 is in effect" in tab.text("#answers .done"))
    assert len(source.sent) == 1
    tab.context.close()


def test_a_wrong_token_is_asked_for_again(browser: Any, running: Running, source: Simulated) -> None:
    tab = opened(browser, running)
    tab.page.evaluate(
        "sessionStorage.setItem('token', 'not the token at all'), sessionStorage.setItem('by', 'ann')"
    )
    tab.press("halt")
    until("refusal", lambda: "NOT SENT: the token is wrong" in tab.text("#answers .failed"))
    tab.page.click("[data-action=halt]")
    assert tab.page.evaluate("document.querySelector('#signing').open")
    assert source.sent == []
    tab.context.close()


def test_the_ninth_tab_halts_while_eight_are_open(browser: Any, running: Running, source: Simulated) -> None:
    first = opened(browser, running)
    pages = [first.context.new_page() for _ in range(7)]
    for page in pages:
        page.goto(running.url)
    ninth = Tab.__new__(Tab)
    ninth.page = first.context.new_page()
    ninth.page.goto(running.url)
    until("usable page", ninth.usable)
    ninth.sign_in()
    ninth.press("halt")
    until("answer", lambda: "in effect" in ninth.text("#answers .done"), 3.0)
    assert len(source.sent) == 1
    first.context.close()


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


FOREIGN = """async ([url, token]) => {
  const outcomes = [];
  const body = JSON.stringify({action: "halt", book: "main", by: "mallory"});
  const send = (mode, headers) => fetch(`${url}api/control`, {method: "POST", mode, body, headers})
    .then(() => "sent", () => "refused");
  outcomes.push(await send("no-cors", {"Content-Type": "text/plain"}));
  outcomes.push(await send("cors", {"Content-Type": "application/json", Authorization: `Bearer ${token}`}));
  outcomes.push(await fetch(`${url}api/state`).then((answer) => answer.text(), () => "refused"));
  outcomes.push(await new Promise((done) => {
    const socket = new WebSocket(`${url.replace("http", "ws")}ws`);
    socket.onopen = () => done("open");
    socket.onerror = () => done("refused");
  }));
  const frame = document.createElement("iframe");
  frame.src = url;
  document.body.append(frame);
  await new Promise((done) => { frame.onload = done; setTimeout(done, 2000); });
  return outcomes;
}"""


def test_a_page_of_another_port_can_neither_press_nor_read_nor_frame(
    browser: Any, running: Running, source: Simulated
) -> None:
    with Running(Simulated([minutes(10, "x")])) as elsewhere:
        context = browser.new_context(bypass_csp=True)  # the other page has no policy that would stop it
        page = context.new_page()
        page.goto(f"{elsewhere.url}healthz")
        outcomes = page.evaluate(FOREIGN, [running.url, TOKEN])
        assert outcomes == [outcomes[0], "refused", "refused", "refused"]  # the first may leave, unread
        frames = [frame.url for frame in page.frames[1:]]
        assert frames
        assert all(not frame.startswith(running.url) for frame in frames), frames
        context.close()
    assert source.sent == []


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


def test_it_is_used_with_the_keyboard_alone(browser: Any, running: Running, source: Simulated) -> None:
    tab = opened(browser, running)
    tab.page.focus("#sign")
    tab.page.keyboard.press("Enter")
    for word in ("ann", TOKEN):
        tab.page.keyboard.type(word)
        tab.page.keyboard.press("Tab")
    tab.page.keyboard.press("Tab")
    tab.page.keyboard.press("Enter")
    tab.page.focus("[data-action=halt]")
    tab.page.keyboard.press("Enter")
    until("confirmation", lambda: tab.page.evaluate("document.querySelector('#confirm').open"))
    tab.page.keyboard.press("Escape")
    tab.page.keyboard.press("Enter")  # the focus is on the button again
    until("confirmation", lambda: tab.page.evaluate("document.querySelector('#confirm').open"))
    tab.page.keyboard.press("Enter")  # in the field of the reason
    until("answer", lambda: "in effect" in tab.text("#answers .done"))
    assert len(source.sent) == 1
    tab.context.close()


class Process:
    """The cockpit in a process of its own, which a test may stop."""

    def __init__(self, port: int) -> None:
        command = [sys.executable, cockpit_harness.__file__, str(port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
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
