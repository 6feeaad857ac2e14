"""Agents that only write to the proposals topic, in any language: their orders, and what becomes of bad records."""

import asyncio
import hmac
import json
import os
import signal
import subprocess
import sys
from functools import partial
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from plain_books import decided
from running import inside, put, records
from test_examples import EXAMPLES, node_example

from simulated_book import config, opening, plain_run, spoil, ticks
from windvane.infra.kafka.broker.clients import new_producer
from windvane.infra.kafka.broker.settings import KafkaSettings, partition_of
from windvane.metamodel.base.config import WeighingConfig
from windvane.metamodel.learning.members import MEMBERS
from windvane.streams.answers import part_of
from windvane.streams.codec import from_json, to_json
from windvane.streams.events import BookClosed, DeadLetter, Decisions, Event, Orders, Proposals, cut, join
from windvane.streams.records import order_lines
from windvane.streams.topics import CONTROL, DEAD_LETTERS, DECISIONS, ORDERS, PROPOSALS, TICKS

__all__ = ["node_example"]

ROWS = 1300
AGENTS = ("vol_trend", "breakout", "buy_and_hold")
STAGES = ("features", "proposals:vol_trend,buy_and_hold", "feedback", "ensemble")
KEYS = {"*": "the key of all workers", "breakout": "the key of one agent", "other": "the key of another"}
ALIKE = WeighingConfig(
    meta_training_frequency=3,
    learner_lag=7,
    prior=tuple(float(name in ("equal", "prod", "contextual")) for name in MEMBERS),
)
"""Members that know nothing of an agent before the first row, so that its kind says nothing."""


def book(kind: str, **changes: Any) -> Any:
    kinds = ("vol_trend", kind, "buy_and_hold")
    return opening(config(agents=AGENTS, kinds=kinds, weighing=ALIKE, **changes))


def backtest() -> list[tuple[Any, Event]]:
    return plain_run([book("donchian_breakout"), spoil(ticks(ROWS)), BookClosed(book="book", last=ROWS - 1)])


def wanted() -> list[bytes]:
    """The orders of the backtest with the rule that is built in."""
    return [
        line for _, e in backtest() if isinstance(e, Orders) for _, line in order_lines(e, config().symbol)
    ]


def keyed(settings: KafkaSettings, *names: str) -> KafkaSettings:
    words = " ".join(f"{name}={KEYS[name].replace(' ', '-')}" for name in names)
    return msgspec.structs.replace(settings, agent_keys=words)


async def feed(settings: KafkaSettings, opened: Any, start: int = 0, stop: int = ROWS) -> None:
    """Rows of the book, behind its opening where they are the first, before its end where they are the last."""
    edges = [*range(start, stop, 20), stop]
    raws = [to_json(cut(spoil(ticks(ROWS)), a, b)) for a, b in pairwise(edges)]
    raws[:0] = [to_json(opened)] if start == 0 else []
    raws += [to_json(BookClosed(book="book", last=ROWS - 1))] if stop == ROWS else []
    await put(settings, TICKS, raws, "book")


async def letters(settings: KafkaSettings) -> list[str]:
    found = map(from_json, await records(settings, DEAD_LETTERS))
    return [e.reason for e in found if isinstance(e, DeadLetter) and e.source.startswith("Proposals")]


class Program:
    """An example as a process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    @classmethod
    async def start(
        cls, language: str, folder: Path, settings: KafkaSettings, name: str = "book"
    ) -> "Program":
        program = ["node", "agent.mjs"] if language == "node" else [sys.executable, "agent_aiokafka.py"]
        words = ["--bootstrap", settings.bootstrap, "--prefix", settings.prefix, "--book", name]
        key = KEYS["breakout"].replace(" ", "-")
        return cls(
            await asyncio.create_subprocess_exec(
                *program,
                *words,
                cwd=folder,
                env={**os.environ, "AGENT_KEY": key},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        )

    async def line(self) -> str:
        assert self.process.stdout is not None
        return (await asyncio.wait_for(self.process.stdout.readline(), 60)).decode().strip()

    async def ended(self) -> str:
        out, err = await asyncio.wait_for(self.process.communicate(), 120)
        assert self.process.returncode == 0, err.decode()
        return out.decode().splitlines()[-1]


@pytest.mark.parametrize("language", ["python", "node"])
def test_the_rule_over_the_topics_leaves_the_orders_of_the_rule_that_is_built_in(
    language: str, topics: KafkaSettings, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """In a book that asks for keys, with the agent killed in between."""
    folder = EXAMPLES if language == "python" else request.getfixturevalue("node_example")
    settings = keyed(topics, *KEYS)

    async def work() -> None:
        async with inside(settings, tmp_path, STAGES) as stages:
            await feed(settings, book("remote", keyed=True), 0, 700)
            first = await Program.start(language, folder, settings)
            for _ in range(2):
                assert "answered up to row" in await first.line()
            first.process.send_signal(signal.SIGKILL)
            await first.process.wait()
            await feed(settings, None, 700)
            second = await Program.start(language, folder, settings)
            assert await second.ended() == f"book is closed after row {ROWS - 1}"
            await stages.until("all orders", partial(decided, settings, ("book",), ROWS))
            assert await records(settings, ORDERS) == wanted()
            assert not await letters(settings)

    asyncio.run(work())


class Stranger:
    """A writer to the proposals topic with some keys, or none."""

    def __init__(self, settings: KafkaSettings, key: str = "") -> None:
        self.settings, self.key = settings, KEYS.get(key, "").replace(" ", "-").encode()
        said = join([e for _, e in backtest() if isinstance(e, Proposals)])
        self.true: Proposals = part_of(said, ("breakout",))

    async def send(self, *raws: bytes) -> None:
        producer = new_producer(self.settings)
        await producer.start()
        try:
            for raw in raws:
                mac = hmac.new(self.key, raw, sha256).hexdigest().encode()
                await producer.send(
                    self.settings.topic(PROPOSALS),
                    raw,
                    key=b"book",
                    partition=partition_of("book", 4),
                    headers=[("windvane-signature", mac)] if self.key else [],
                )
            await producer.flush()
        finally:
            await producer.stop()

    def answers(self, start: int, stop: int) -> list[bytes]:
        return [to_json(cut(self.true, at, min(at + 50, stop))) for at in range(start, stop, 50)]

    def lies(self, start: int, stop: int, target: Any, agent: str = "breakout") -> bytes:
        n = stop - start
        columns = {"target": [[target]] * n, "action": [[0]] * n, "confidence": [[0.5]] * n}
        head = {"type": "Proposals", "book": "book", "seq": [*range(start, stop)], "agents": [agent]}
        return json.dumps({**head, "versions": ["1"], **columns}).encode()


def test_records_that_are_forged_doubled_mixed_up_or_no_numbers_move_nobody_elses_slot(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    settings = keyed(topics, *KEYS)

    async def work() -> tuple[Decisions, list[str], list[bytes]]:
        async with inside(settings, tmp_path, STAGES) as stages:
            await feed(settings, book("remote", keyed=True))
            agent, other, nobody = (Stranger(settings, key) for key in ("breakout", "other", ""))
            forged = agent.lies(0, 200, -1.0)
            await other.send(forged, other.lies(0, 10, 1.0, "vol_trend"))
            await nobody.send(forged, b"garbage")
            true = agent.answers(0, 1000)
            await agent.send(*true[10:], *true[5:10], true[7], agent.lies(300, 320, -1.0), *true[:5])
            await agent.send(agent.lies(1000, 1010, float("nan")), agent.lies(1010, 1020, 7.0))
            await agent.send(*agent.answers(1000, ROWS), *agent.answers(1000, ROWS)[:3])
            await stages.until("all rows", partial(decided, settings, ("book",), ROWS))
            rows = [from_json(raw) for raw in await records(settings, DECISIONS)]
            whole = join([e for e in rows if isinstance(e, Decisions)])
            return whole, await letters(settings), await records(settings, ORDERS)

    rows, told, orders = asyncio.run(work())
    assert rows.benched is not None
    assert np.flatnonzero(rows.benched[:, 1]).tolist() == [*range(1000, 1020)]
    assert not rows.benched[:, [0, 2]].any()
    plain = join([e for _, e in backtest() if isinstance(e, Decisions)])
    assert rows.weights[:1000].tobytes() == plain.weights[:1000].tobytes()
    assert len(told) >= 3, "two forgeries and one without a signature"
    assert all("is not signed with the key of each" in why for why in told)
    early = [line for line in wanted() if json.loads(line)["seq"] < 1000]
    assert orders[: len(early)] == early


def command(settings: KafkaSettings, *words: object) -> "asyncio.Future[Any]":
    at = ("--bootstrap", settings.bootstrap, "--prefix", settings.prefix)
    key = {"WINDVANE_CONTROL_KEY": settings.control_key or ""}
    return asyncio.to_thread(  # type: ignore[return-value]
        subprocess.run,
        [sys.executable, "-m", "windvane", *map(str, words), *at],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **key},
    )


def test_a_remote_agent_is_played_a_book_and_judged_row_by_row(topics: KafkaSettings) -> None:
    async def work() -> None:
        at = ("agents", "check", "breakout=remote")
        silent = await command(topics, *at, "--book", "nobody", "--wait", 0.5)
        assert silent.returncode == 1
        assert silent.stdout.splitlines()[0] == "row 0: it has no answer"
        assert "0 of 1,200 rows are answered" in silent.stdout
        agent = await Program.start("python", EXAMPLES, topics, "trial")
        good = await command(topics, *at, "--book", "trial", "--wait", 60)
        assert good.returncode == 0, good
        assert "1,200 of 1,200 rows are answered" in good.stdout
        await agent.ended()
        again = await command(topics, *at, "--book", "trial")
        assert again.returncode == 2
        assert "give another --book" in again.stderr
        late = await Program.start("python", EXAMPLES, topics, "nobody")
        assert await late.ended() == "nobody is closed after row 1199"

    asyncio.run(work())


def test_an_agent_takes_its_seat_and_leaves_it(topics: KafkaSettings, tmp_path: Path) -> None:
    """In a lockstep book, which waits for it in between."""
    opened, stranger = book("remote", seats=("breakout",), seat_rows=30), Stranger(topics)
    raws = [to_json(cut(ticks(ROWS), a, a + 20)) for a in range(0, ROWS, 20)]

    async def work() -> Decisions:
        async with inside(topics, tmp_path, STAGES) as stages:
            await put(topics, TICKS, [to_json(opened), *raws[:35]], "book")
            await stages.until("rows without it", partial(decided, topics, ("book",), 700))
            woken = command(topics, "control", "wake", "--agent", "breakout", "--book", "book")
            task = asyncio.ensure_future(woken)
            await asyncio.sleep(0)
            while b'"wake"' not in b"".join(await records(topics, CONTROL)):
                await asyncio.sleep(0.1)
            await stranger.send(*stranger.answers(0, 1000))
            await put(topics, TICKS, raws[35:50], "book")
            await stages.until("rows with it", partial(decided, topics, ("book",), 1000))
            assert (await task).returncode == 0
            await put(topics, TICKS, raws[50:], "book")
            retired = await command(topics, "control", "retire", "--agent", "breakout", "--book", "book")
            assert retired.returncode == 0, retired
            await stages.until("all rows", partial(decided, topics, ("book",), ROWS))
            wrong = await command(topics, "control", "wake", "--book", "book")
            assert "give --agent NAME with wake or retire" in wrong.stderr
            rows = [from_json(raw) for raw in await records(topics, DECISIONS)]
            return join([e for e in rows if isinstance(e, Decisions)])

    weight = asyncio.run(work()).weights[:, 1]
    assert not weight[1:731].any()
    assert weight[735:1000].min() > 0
    assert not weight[1000:].any()


def test_a_timed_book_never_waits_for_an_agent_that_is_silent(topics: KafkaSettings, tmp_path: Path) -> None:
    """It is late, then it answers nearly all rows at once, then it is silent for good."""
    opened, stranger = book("remote", closing="timed", quorum_lag=50), Stranger(topics)
    raws = [to_json(cut(ticks(ROWS), a, a + 20)) for a in range(0, ROWS, 20)]

    async def work() -> Decisions:
        async with inside(topics, tmp_path, STAGES) as stages:
            await put(topics, TICKS, [to_json(opened), *raws[:40]], "book")
            await stages.until("rows without it", partial(decided, topics, ("book",), 800))
            await stranger.send(*stranger.answers(0, 1000), *stranger.answers(700, 1000))
            await put(topics, TICKS, raws[40:50], "book")
            await stages.until("rows with it", partial(decided, topics, ("book",), 1000))
            await put(topics, TICKS, [*raws[50:], to_json(BookClosed(book="book", last=ROWS - 1))], "book")
            await stages.until("all rows", partial(decided, topics, ("book",), ROWS))
            rows = [from_json(raw) for raw in await records(topics, DECISIONS)]
            return join([e for e in rows if isinstance(e, Decisions)])

    rows = asyncio.run(work())
    assert rows.awake is not None
    there = rows.awake[:, 1]
    assert (there[0], there[799], there[-1]) == (0, 0, 0)
    assert there[900:1000].all()
    assert rows.weights[900:1000, 1].min() > 0
    assert not rows.weights[rows.awake[:, 1] == 0][1:, 1].any()
