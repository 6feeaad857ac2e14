"""A press is one control, is answered with what became of it, and does not wait for any page."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator

import aiohttp
import numpy as np
import pytest
from cockpit_harness import TOKEN, Running, Simulated, minutes

from windvane.infra.cockpit.history import history
from windvane.infra.cockpit.presses import Presses
from windvane.infra.cockpit.source import CockpitError, Outcome, Press
from windvane.infra.cockpit.timeline import ORDER


@pytest.fixture
def source() -> Simulated:
    made = Simulated([minutes(900, "main"), minutes(700, "other", seed=2)])
    made.feed("main", 600)
    made.feed("other", 600)
    return made


@pytest.fixture
def running(source: Simulated) -> Iterator[Running]:
    with Running(source) as made:
        yield made


def press(running: Running, **changes: str) -> tuple[int, dict[str, object]]:
    """What a client is answered that sends what outside programs send."""
    body = {"action": "halt", "book": "main", "by": "ann"} | changes

    async def ask() -> tuple[int, dict[str, object]]:
        async with aiohttp.ClientSession() as client:
            url, headers = f"{running.url}api/control", {"Authorization": f"Bearer {TOKEN}"}
            async with client.post(url, json=body, headers=headers) as answer:
                return answer.status, await answer.json()

    return asyncio.run(ask())


def test_halt_stops_orders_within_one_row_and_says_so(running: Running, source: Simulated) -> None:
    status, told = press(running, reason="news")
    assert (status, told["obeyed"], told["number"], told["row"]) == (200, True, 1, 600)
    assert source.sent[0].reason == "ann: news"
    running.call(source.feed, "main", 200)
    found = running.call(history, source.timeline("main"))
    orders = np.array(found["marks"]["seq"])[np.array(found["marks"]["kind"]) == ORDER]
    assert len(orders) > 5
    assert max(orders) < 600
    assert set(found["rows"]["state"][found["rows"]["seq"] >= 600]) == {2}
    assert running.call(source.timeline, "other").obeyed(1) is None


def test_every_button_does_what_it_says(running: Running, source: Simulated) -> None:
    for action, state in (("reduce-only", 1), ("halt", 2), ("resume", 0), ("flatten", 2)):
        assert press(running, action=action)[1]["obeyed"]
        rows = running.call(history, source.timeline("main"))["rows"]
        assert rows["state"][-1] == state
    running.call(source.feed, "main", 20)
    assert running.call(history, source.timeline("main"))["rows"]["position"][-1] == 0.0


def test_a_press_that_is_sent_again_is_one_control(running: Running, source: Simulated) -> None:
    answers: list[tuple[int, dict[str, object]]] = []
    clients = [threading.Thread(target=lambda: answers.append(press(running, nonce="n"))) for _ in range(4)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    answers.append(press(running, nonce="n"))
    assert [answer for answer in answers if answer != answers[0]] == []
    assert answers[0][1]["number"] == len(source.sent) == 1
    status, told = press(running, nonce="n", action="resume")
    assert (status, told["error"]) == (
        400,
        "this nonce belongs to another press: give each press one of its own",
    )
    assert press(running, nonce="m")[1]["number"] == len(source.sent) == 2


def test_one_that_nobody_obeys_is_answered_in_time_and_told_of_later(
    running: Running, source: Simulated
) -> None:
    source.obeys = False
    began = time.monotonic()
    status, told = press(running, nonce="n")
    assert (status, told["obeyed"], told["final"], told["row"]) == (202, False, False, None)
    assert 1.5 < time.monotonic() - began < 4.0
    running.call(source.feed, "main", 1)
    assert press(running, nonce="n") == (
        200,
        {
            "number": 1,
            "obeyed": True,
            "row": 600,
            "sentence": "control 1 is in effect from row 600",
            "final": True,
        },
    )
    assert len(source.sent) == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"action": "swap"}, "action is 'swap': give one of halt, reduce-only, resume, flatten"),
        ({"book": "mian"}, "there is no book 'mian': there are main, other"),
        ({"by": "  "}, "by is empty: say who orders it"),
        ({"by": "ann\n"}, "by is no name: give at most 60 letters"),
        ({"reason": "x" * 501}, "reason is no line: give at most 500 letters"),
        ({"nonce": "x" * 101}, "nonce has 101 characters: give at most 100"),
    ],
)
def test_a_press_that_no_book_would_obey_is_refused(
    running: Running, source: Simulated, changes: dict[str, str], said: str
) -> None:
    assert press(running, **changes) == (400, {"error": said})
    assert source.sent == []


def test_a_source_that_cannot_order_says_why(running: Running, source: Simulated) -> None:
    source.no_control = "no key: give one"
    assert press(running) == (409, {"error": "no key: give one"})


class Refuses(Simulated):
    """A source whose broker is away at the first press."""

    async def control(self, press: Press) -> Outcome:
        self.refused = getattr(self, "refused", 0) + 1
        if self.refused == 1:
            raise CockpitError("the broker is away: try again")
        return await super().control(press)


@pytest.mark.parametrize("action", ["halt", "resume"])
def test_what_could_not_be_sent_is_sent_when_it_is_pressed_on_but_for_a_resume(action: str) -> None:
    """A page repeats a press under its nonce; meanwhile somebody else may have halted."""

    async def play() -> None:
        source = Refuses([minutes(10, "main")])
        presses, press = Presses(source), Press(action=action, book="main", by="ann", nonce="n")
        with pytest.raises(CockpitError, match="the broker is away"):
            await presses.outcome(press)
        if action == "resume":
            with pytest.raises(CockpitError, match="the broker is away"):
                await presses.outcome(press)
            assert source.refused == 1
            return
        first, again = await presses.outcome(press), await presses.outcome(press)
        assert first is not None
        assert first == again
        assert source.refused == 2

    asyncio.run(play())


def test_eight_pages_that_read_nothing_do_not_keep_the_ninth_from_halting(
    running: Running, source: Simulated
) -> None:
    async def play() -> int:
        async with aiohttp.ClientSession() as client:
            sockets = [await client.ws_connect(f"{running.url}ws") for _ in range(8)]
            for socket in sockets:
                await socket.send_str(json.dumps({"book": "main"}))
            headers = {"Authorization": f"Bearer {TOKEN}"}
            body = {"action": "halt", "book": "main", "by": "ann"}
            async with client.post(f"{running.url}api/control", json=body, headers=headers) as answer:
                status = answer.status
            heard = [json.loads(await socket.receive_bytes()) for socket in sockets]
            assert all("books" in told or told["book"] == "main" for told in heard)
            for socket in sockets:
                await socket.close()
            return status

    assert asyncio.run(play()) == 200


def test_a_socket_tells_what_is_new_and_from_where(running: Running, source: Simulated) -> None:
    async def play() -> list[int]:
        seen: list[int] = []
        async with aiohttp.ClientSession() as client, client.ws_connect(f"{running.url}ws") as socket:
            await socket.send_str(json.dumps({"book": "main"}))
            while "since" not in (first := json.loads(await socket.receive_bytes())):
                pass
            assert first["since"] == 599
            for _ in range(3):
                await asyncio.to_thread(running.call, source.feed, "main", 2)
            while len(seen) < 6:
                told = json.loads(await socket.receive_bytes())
                if "news" in told:
                    assert told["since"] + 1 == told["news"]["rows"]["seq"][0]
                    seen += told["news"]["rows"]["seq"]
            await socket.send_str("no json")
            closed = await socket.receive()
            while closed.type is aiohttp.WSMsgType.BINARY:
                closed = await socket.receive()
            assert closed.type is aiohttp.WSMsgType.CLOSE
        return seen

    assert asyncio.run(play()) == list(range(600, 606))


def test_a_socket_from_elsewhere_is_silent_without_the_token(source: Simulated) -> None:
    async def hear(url: str, token: str) -> aiohttp.WSMsgType:
        async with aiohttp.ClientSession() as client, client.ws_connect(f"{url}ws") as socket:
            await socket.send_str(json.dumps({"token": token}))
            return (await socket.receive()).type

    with Running(source, host="0.0.0.0") as running:  # noqa: S104
        url = f"http://127.0.0.1:{running.cockpit.port}/"
        assert asyncio.run(hear(url, TOKEN)) is aiohttp.WSMsgType.BINARY
        assert asyncio.run(hear(url, "wrong")) is aiohttp.WSMsgType.CLOSE
