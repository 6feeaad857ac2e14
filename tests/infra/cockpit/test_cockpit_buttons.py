"""The buttons in a browser: pressed once, obeyed and told of, and by nobody from elsewhere."""

from typing import Any

from cockpit_browser import Tab, opened, until
from cockpit_harness import TOKEN, Running, Simulated, minutes


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
    focused = "document.querySelector('#confirm').contains(document.activeElement)"
    until("field of the reason", lambda: tab.page.evaluate(focused))
    tab.page.keyboard.press("Enter")  # in that field
    until("answer", lambda: "in effect" in tab.text("#answers .done"))
    assert len(source.sent) == 1
    tab.context.close()
