"""The cockpit on a real broker: it shows what lies on the topics, and a press is a control that workers obey."""

import asyncio
import json
import signal
import sys
import time
import urllib.error
import urllib.request
from asyncio import run
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from cli_harness import refusal, windvane
from running import STAGES, Process, inside, put

from simulated_book import config, controls, opening, plain_run, spoil, ticks
from windvane.agents.errors import WindvaneError
from windvane.infra.cockpit.history import history
from windvane.infra.cockpit.kafka_source import KafkaSource
from windvane.infra.cockpit.present import state
from windvane.infra.cockpit.presses import Presses
from windvane.infra.cockpit.source import Press
from windvane.infra.cockpit.timeline import Timeline
from windvane.infra.kafka.broker.settings import KafkaSettings
from windvane.streams.codec import cuts, to_json
from windvane.streams.events import Event, Fills, Orders, cut
from windvane.streams.records import fill_lines, order_lines
from windvane.streams.topics import CONTROL, TICKS, Topic

TOKEN = "the-token-of-the-tests-no-secret"  # noqa: S105


def lines(event: Event) -> list[bytes]:
    """The records of an event."""
    if isinstance(event, Orders):
        return [raw for _, raw in order_lines(event, "BTCUSD")]
    if isinstance(event, Fills):
        return [raw for _, raw in fill_lines(event, "BTCUSD")]
    return [to_json(piece) for piece in cuts(event)]


async def until(what: str, there: Callable[[], Any], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < deadline, f"no {what} within {seconds} s"
        await asyncio.sleep(0.02)


def test_it_shows_what_lies_on_the_topics(topics: KafkaSettings) -> None:
    seen = plain_run([opening(config(), "b"), spoil(ticks(1500, book="b"))], controls("b"))
    whole = Timeline("b")
    by_topic: dict[Topic, list[bytes]] = {}
    for topic, event in seen:
        whole.add(event, 0.0)
        by_topic.setdefault(topic, []).extend(lines(event))

    async def read() -> None:
        for topic in by_topic.keys() - {TICKS, CONTROL}:
            await put(topics, topic, [b"no event", *by_topic[topic]], "b")
        async with KafkaSource(topics) as source:
            await until("rows", lambda: "b" in source.books() and source.timeline("b").last_seq == 1499)
            await until("marks", lambda: source.timeline("b").last_mark > 0.9 * whole.last_mark)
            found = source.timeline("b")
            found.opened(whole.symbol, whole.agents, config().capital)  # no worker is here that could tell it
            wanted = history(whole, most=1500)["rows"]

            def unlike() -> list[str]:
                told = history(found, most=1500)["rows"]
                names = wanted.keys() - {"late"}
                return [n for n in names if not np.array_equal(told[n], wanted[n], equal_nan=True)]

            await until("the same rows", lambda: not unlike())
            then = state(whole, 0.0)
            names = ("state", "position", "equity", "today", "control", "learner", "gaps", "last_order")

            def behind() -> list[str]:
                now = state(found, time.time())
                return [name for name in names if now[name] != then[name]]

            await until("the same state", lambda: not behind())
            assert state(found, time.time())["age_seconds"] < 60.0
            assert "12 dead letters in the last hour, the last: " in source.trouble

    run(read())


class Live:
    """A book whose rows come while somebody waits."""

    def __init__(self, settings: KafkaSettings) -> None:
        self.settings = settings
        self.rows = ticks(3000, book="b")
        self.sent = 0

    async def open(self, rows: int) -> None:
        await put(self.settings, TICKS, [to_json(opening(config(), "b"))], "b")
        for _ in range(0, rows, 50):
            await self.feed(50)

    async def feed(self, rows: int = 1) -> None:
        await put(self.settings, TICKS, [to_json(cut(self.rows, self.sent, self.sent + rows))], "b")
        self.sent += rows


def test_a_press_is_a_control_that_workers_obey(topics: KafkaSettings, tmp_path: Path) -> None:
    live = Live(topics)
    forger = msgspec.structs.replace(topics, control_key="another key of somebody")

    async def play() -> None:
        async with inside(topics, None), KafkaSource(topics) as source, KafkaSource(forger) as other:
            await live.open(600)
            await until("rows", lambda: "b" in source.books() and source.timeline("b").last_seq >= 599)

            async def press(source: KafkaSource, action: str) -> Any:
                presses = Presses(source)
                wanted = Press(action=action, book="b", by="ann", reason="news", nonce=action)
                while (told := await presses.outcome(wanted, 0.2)) is None or not told.final:
                    await live.feed()
                return told

            halted = await press(source, "halt")
            assert (halted.number, halted.obeyed) == (1, True)
            assert halted.sentence == f"control 1 of book b (halt) is in effect from row {halted.row:,}"
            assert state(source.timeline("b"), 0.0)["state"] == "halted"
            await until("facts", lambda: source.timeline("b").capital == config().capital)
            await until("rows", lambda: "b" in other.books() and other.timeline("b").last_seq >= 599)
            forged = await press(other, "resume")
            assert (forged.obeyed, forged.row) == (False, None)
            assert "(resume) is REFUSED by the workers: control 2 is not signed by who may" in forged.sentence
            assert (await press(source, "resume")).obeyed
            with pytest.raises(WindvaneError, match="has no book c"):
                await source.control(Press(action="halt", book="c", by="ann"))

    run(play())


def ask(url: str, body: object = None) -> tuple[int, Any]:
    """A request of a plain client."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=10) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_halt_waits_for_an_ensemble_that_hangs_and_the_command_works_beside_the_page(
    topics: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINDVANE_CONTROL_KEY", str(topics.control_key))
    to = ("--bootstrap", topics.bootstrap, "--prefix", topics.prefix)
    live = Live(topics)
    cockpit = Process(
        tmp_path, "cockpit", *to, "--host", "127.0.0.1", "--port", 0, environment={"WINDVANE_TOKEN": TOKEN}
    )
    ensemble = Process(tmp_path, "worker", "ensemble", *to, "--state", tmp_path / "s", "--web-port", "none")

    async def play(url: str) -> None:
        async with inside(topics, None, STAGES[:3]):
            await live.open(600)

            def told() -> dict[str, Any]:
                return dict(ask(f"{url}api/state")[1]["books"].get("b", {}))

            await until("rows", lambda: told().get("rows") == 600, 90.0)
            assert {"state", "position", "equity", "age_seconds"} <= told().keys()
            ensemble.signal(signal.SIGSTOP)
            for _ in range(5):
                await live.feed()
            press = {"action": "halt", "book": "b", "by": "ann", "nonce": "n"}
            status, answer = await asyncio.to_thread(ask, f"{url}api/control", press)
            assert (status, answer["obeyed"], answer["final"]) == (202, False, False)
            ran = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "windvane", "control", "halt", "--book", "b", "--wait", "0", *to),
                stderr=asyncio.subprocess.PIPE,
            )
            assert b"control 2 of book b is written: halt, at once" in (await ran.communicate())[1]
            assert told()["age_seconds"] > 1.0
            ensemble.signal(signal.SIGCONT)
            await until("halt", lambda: told()["state"] == "halted", 60.0)
            assert told()["rows"] > 600

    try:
        cockpit.until("address", lambda: "cockpit at http://127.0.0.1:" in cockpit.text)
        url = cockpit.text.split("cockpit at ", 1)[1].split()[0]
        run(play(url))
        assert TOKEN not in cockpit.text
    finally:
        ensemble.signal(signal.SIGCONT)
        ensemble.stop()
        assert cockpit.stop() == 0


def test_the_command_says_what_it_needs(
    topics: KafkaSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    to = ("--bootstrap", topics.bootstrap, "--prefix", topics.prefix)
    monkeypatch.setenv("WINDVANE_TOKEN", "short")
    assert "fewer than 16 characters" in refusal(windvane("cockpit", *to))
    monkeypatch.setenv("WINDVANE_TOKEN", "")
    assert refusal(windvane("cockpit", *to, "--host", "")).startswith("--host is empty: give an address")
    open_to_all = Process(tmp_path, "cockpit", *to, "--host", "0.0.0.0", "--port", 0)  # noqa: S104
    try:
        open_to_all.until("address", lambda: "ssh -N -L" in open_to_all.text)
        assert "token for the buttons: " in open_to_all.text
        assert "start the cockpit with WINDVANE_CONTROL_KEY set" in open_to_all.text
        port = int(open_to_all.text.split("cockpit at http://0.0.0.0:", 1)[1].split("/")[0])
        taken = windvane("cockpit", *to, "--port", port, "--host", "127.0.0.1")
        assert refusal(taken).endswith("(address already in use): give another --port")
    finally:
        assert open_to_all.stop() == 0
