"""Controls of a session: obeyed at once in a silent market, once each, recorded, and from its socket alone."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from cli_harness import refusal, windvane
from live_session import Running, copy, events, market, plan, running

from windvane.infra.exchange.faults import Fault
from windvane.infra.exchange.server import LocalExchange
from windvane.infra.live.asking import ask
from windvane.infra.live.controls import ControlError
from windvane.infra.live.socket import NAME, Request, address_of
from windvane.metamodel.learning.learned import to_bytes
from windvane.metamodel.learning.manager import MetaLearningEnsembleManager
from windvane.streams.events import Control, Decisions, join

WHOLE = market(seconds=60)


@asynccontextmanager
async def silent(out: Path) -> AsyncIterator[Running]:
    """A session whose market says nothing any more."""
    async with LocalExchange(WHOLE, speed=10) as exchange, running(exchange.url, out, plan()) as live:
        await live.rows(20)
        await exchange.inject(Fault(0.0, "pause", lasts=100.0))
        yield live


def weights(live: Running) -> bytes:
    config = live.session.book.opened.config
    return to_bytes(MetaLearningEnsembleManager(config.agents, config.weighing, delay=config.costs.delay), {})


def test_each_is_obeyed_before_the_call_returns(tmp_path: Path) -> None:
    async def work() -> None:
        async with silent(tmp_path) as live:
            session = live.session
            for number, (action, state) in enumerate(
                [
                    ("halt", "halted"),
                    ("resume", "active"),
                    ("reduce-only", "reduce-only"),
                    ("flatten", "halted"),
                ],
                1,
            ):
                outcome = session.control(action, "ann", "a test", nonce=action)
                assert outcome.obeyed
                assert outcome.number == number == session.state()["control"]
                assert outcome.row == session.book.mark.seq - 1
                assert outcome.sentence.endswith(f"the book is {state}")
                assert session.state()["state"] == state
                assert session.control(action, "ann", "again", nonce=action) == outcome
            swap = session.control("swap", "ann", weights=weights(live))
            assert swap.obeyed
            assert session.control("roll-back", "ann").obeyed
            unneeded = session.control("roll-back", "ann")
            assert not unneeded.obeyed
            assert "has no weights to roll back to" in unneeded.sentence

    asyncio.run(work())
    controls = events(tmp_path, Control)
    assert [c.number for c in controls] == [1, 2, 3, 4, 5, 6, 7]
    assert controls[0].reason == "ann: a test"
    rows = {int(n): event.first for event in events(tmp_path, Decisions) for n in event.controls}
    assert set(rows) >= {1, 2, 3, 4, 5, 6, 7}
    ran = windvane("replay", tmp_path, "--as-recorded", "--out", tmp_path / "again")
    assert ran.code == 0, ran


@pytest.mark.parametrize("killed", [False, True])
def test_numbers_and_presses_go_on_after_a_restart(killed: bool, tmp_path: Path) -> None:
    first = tmp_path / "first"
    second = tmp_path / "killed" if killed else first

    async def work() -> None:
        async with silent(first) as live:
            halted = live.session.control("halt", "ann", nonce="a")
            copy(first, tmp_path / "killed")
        async with silent(second) as live:
            await live.until(lambda: live.session.book.decisions is not None)
            assert live.session.state()["state"] == "halted"
            assert live.session.control("resume", "ben", nonce="b").number == 2
            assert live.session.control("halt", "ann", nonce="a") == halted
            assert live.session.state()["state"] == "active"

    asyncio.run(work())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"action": "stop"}, "give one of halt, reduce-only"),
        ({"action": "swap"}, "give weights with swap"),
        ({"action": "halt", "weights": b"x"}, "and with nothing else"),
        ({"action": "swap", "weights": b"x"}, "safetensors"),
        ({"action": "swap", "weights": bytes(7_000_000)}, "a swap takes"),
        ({"action": "halt", "reason": "x" * 1001}, "at most 1000"),
        ({"action": "halt", "by": "a\x1b[2J"}, "cannot be printed"),
    ],
)
def test_what_no_book_would_apply_is_not_sent(
    words: dict[str, object], sentence: str, tmp_path: Path
) -> None:
    async def work() -> None:
        async with silent(tmp_path) as live:
            with pytest.raises(ControlError, match=sentence):
                live.session.control(**{"by": "ann", **words})
            assert live.session.state()["control"] == 0

    asyncio.run(work())


class TestTheSocket:
    def test_the_command_halts_a_session_over_its_socket(self, tmp_path: Path) -> None:
        out = tmp_path / ("deep" * 30)  # longer than the path of a socket may be

        async def command(*words: str) -> tuple[int, str]:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "windvane", "control", *words, "--session", str(out)),
                stderr=asyncio.subprocess.PIPE,
            )
            _, said = await process.communicate()
            return process.returncode or 0, said.decode()

        async def work() -> None:
            async with silent(out) as live:
                assert (out / NAME).stat().st_mode & 0o777 == 0o600
                code, said = await command("halt", "--reason", "news")
                assert code == 0, said
                assert said.startswith("control 1 of book live (halt) is in effect from row ")
                assert live.session.state()["state"] == "halted"
                code, said = await command("roll-back")
                assert code == 1
                assert "has no weights to roll back to" in said

        asyncio.run(work())
        assert not (out / NAME).exists()
        assert "no session runs in" in refusal(windvane("control", "halt", "--session", out))

    def test_requests_that_are_none_are_answered_by_a_sentence(self, tmp_path: Path) -> None:
        async def send(raw: bytes) -> dict[str, object]:
            with address_of(tmp_path) as address:
                reader, writer = await asyncio.open_unix_connection(address)
            writer.write(raw)
            writer.write_eof()
            answer = await reader.read()
            writer.close()
            return json.loads(answer)

        async def work() -> None:
            async with silent(tmp_path) as live:
                for raw in (
                    b"",
                    b"halt\n",
                    b'{"action":"halt","sudo":true}\n',
                    b'{"action":"swap","weights":"?"}\n',
                    b'{"action":"stop"}\n',
                ):
                    assert "error" in await send(raw)
                state = await send(b'{"action":"state"}\n')
                assert state["mode"] == "paper"
                assert live.session.state()["control"] == 0

        asyncio.run(work())

    def test_a_session_that_has_ended_is_told_so(self, tmp_path: Path) -> None:
        async def work() -> None:
            async with silent(tmp_path):
                (tmp_path / NAME).rename(tmp_path / "kept")

        asyncio.run(work())
        (tmp_path / "kept").rename(tmp_path / NAME)
        with pytest.raises(ControlError, match="has ended"):
            ask(tmp_path, Request("halt"), 5.0)
        with contextlib.suppress(FileNotFoundError):
            (tmp_path / NAME).unlink()

    def test_options_of_kafka_have_no_effect_on_a_session(self, tmp_path: Path) -> None:
        for words in (("--from-seq", "5"), ("--prefix", "p"), ("--bootstrap", "h:1")):
            said = refusal(windvane("control", "halt", "--session", tmp_path, *words))
            assert said.startswith(f"{words[0]} would have no effect on a session")
        assert "give --book, or --session" in refusal(
            windvane("control", "halt", "--book", "b", "--session", tmp_path)
        )


def test_a_seat_is_woken_and_retired(tmp_path: Path) -> None:
    given = plan(config={"seats": ("vol_trend",), "seat_rows": 5})

    async def work() -> None:
        async with (
            LocalExchange(market(), speed=40) as exchange,
            running(exchange.url, tmp_path, given) as live,
        ):
            await live.rows(20)
            with pytest.raises(ControlError, match="give an agent with wake or retire"):
                live.session.control("wake", "ann")
            unseated = live.session.control("wake", "ann", agent="buy_and_hold")
            assert "agent 'buy_and_hold' has no seat" in unseated.sentence
            woken = live.session.control("wake", "ann", agent="vol_trend")
            assert woken.obeyed
            await live.rows(woken.row + 20)
            assert live.session.control("retire", "ann", agent="vol_trend").obeyed

    asyncio.run(work())
    rows = join(events(tmp_path, Decisions))
    assert rows.awake is not None
    there = np.flatnonzero(rows.awake[:, 1])
    first, last = (int(np.argmax(rows.controls == number)) for number in (2, 3))
    assert (there[0], there[-1]) == (first + 1, last - 1)
