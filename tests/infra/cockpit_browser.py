"""A tab of a browser that shows the cockpit, for tests."""

import time
from collections.abc import Callable
from typing import Any

from cockpit_harness import TOKEN, Running

ROWS = 1600
"""Rows that the simulated book has at first."""


def until(what: str, there: Callable[[], Any], seconds: float = 15.0) -> Any:
    """Poll until something is so; the page's own functions for that need what its policy forbids."""
    deadline = time.monotonic() + seconds
    while not (found := there()):
        assert time.monotonic() < deadline, f"no {what} within {seconds} s"
        time.sleep(0.02)
    return found


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
