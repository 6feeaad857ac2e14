"""Controls: signed by who has the key, numbered upwards, in effect or said not to be."""

import asyncio
import sys
from asyncio import run
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
import numpy as np
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from cli_harness import Ran, refusal, windvane
from running import inside, records
from running import put as write

from simulated_book import config, opening, plain_run, ticks
from windvane.infra.kafka.broker.settings import KafkaSettings, partition_of
from windvane.infra.kafka.broker.signing import sign, verified
from windvane.infra.kafka.tools.controls import new_control, send_control
from windvane.infra.kafka.tools.outcomes import Outcome, outcome
from windvane.streams.codec import from_json, to_json
from windvane.streams.events import Control, DeadLetter, Decisions, cut
from windvane.streams.topics import CONTROL, DEAD_LETTERS, DECISIONS, TICKS

KEY = b"the key of the tests, not a secret"


async def on_topic(settings: KafkaSettings, book: str) -> list[Control]:
    """All records of the partition of a book."""
    place = TopicPartition(settings.topic(CONTROL), partition_of(book, 4))
    reader = AIOKafkaConsumer(**settings.client(), auto_offset_reset="earliest", enable_auto_commit=False)
    await reader.start()
    found: list[Any] = []
    try:
        reader.assign([place])
        end = (await reader.end_offsets([place]))[place]
        while await reader.position(place) < end:
            for records in (await reader.getmany(timeout_ms=200)).values():
                assert all(r.key == book.encode() for r in records)
                found += [from_json(r.value) for r in records]
    finally:
        await reader.stop()
    return found


async def put(settings: KafkaSettings, *given: Control) -> None:
    """Send controls as they are."""
    producer = AIOKafkaProducer(**settings.client())
    await producer.start()
    try:
        for control in given:
            await producer.send_and_wait(settings.topic(CONTROL), to_json(control), key=control.book.encode())
    finally:
        await producer.stop()


def command(settings: KafkaSettings, *words: object) -> Ran:
    return windvane("control", *words, "--bootstrap", settings.bootstrap, "--prefix", settings.prefix)


@pytest.fixture
def opened(topics: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> KafkaSettings:
    """Topics with the book b, that no worker has seen."""
    monkeypatch.setenv("WINDVANE_CONTROL_KEY", KEY.decode())
    run(write(topics, TICKS, [to_json(opening(config(), "b"))], "b"))
    return topics


NOBODY = "no worker of the ensemble is known to have read it (0 rows are decided)"


def test_the_command_sends_what_workers_believe_and_says_loudly_that_nobody_obeys(
    opened: KafkaSettings,
) -> None:
    first = command(opened, "halt", "--book", "b", "--reason", "news", "--wait", 0)
    second = command(opened, "resume", "--book", "b", "--from-seq", 5000, "--wait", 0)
    third = command(opened, "flatten", "--book", "b", "--wait", 0)
    assert (first.code, second.code, third.code, first.out) == (1, 1, 1, "")
    written, loud = first.err.splitlines()
    assert written == "control 1 of book b is written: halt, at once"
    assert loud.startswith(
        f"control 1 of book b (halt) is NOT IN EFFECT after 0 s: {NOBODY}: it stands on the topic"
    )
    assert "obeys it. See whether one runs and has the key (`windvane status" in loud
    assert second.err.splitlines()[0] == "control 2 of book b is written: resume, from row 5,000"
    assert third.err.splitlines()[1] == (
        "it passes control 2, for a later row: what is not applied yet is cancelled, send it again"
    )
    found = run(on_topic(opened, "b"))
    assert [(c.number, c.action, c.effective_from, c.reason) for c in found] == [
        (1, "halt", 0, "news"),
        (2, "resume", 5000, ""),
        (3, "flatten", 0, ""),
    ]
    assert all(verified(c, KEY, opened.prefix) for c in found)


def test_a_control_walks_through_twelve_files_from_the_command_to_its_outcome(opened: KafkaSettings) -> None:
    walked = set[str]()

    def enter(frame: FrameType, event: str, argument: object) -> None:
        module = str(frame.f_globals.get("__name__"))
        if (
            event == "call"
            and module.startswith("windvane.")
            and not frame.f_code.co_filename.startswith("<")
        ):
            walked.add(module)

    words = ("halt", "--book", "b", "--wait", 0)
    command(opened, *words)  # what it imports is no part of the walk
    sys.setprofile(enter)
    try:
        command(opened, *words)
    finally:
        sys.setprofile(None)
    tools = "windvane.infra.kafka.tools"
    assert {"windvane.infra.cli.control", f"{tools}.controls", f"{tools}.outcomes"} <= walked
    assert len(walked) <= 12, sorted(walked)


def test_a_book_that_is_not_there_is_refused_at_once_with_those_that_are(opened: KafkaSettings) -> None:
    run(write(opened, TICKS, [to_json(opening(config(), "live"))], "live"))
    ran = command(opened, "halt", "--book", "liev")
    said = f"windvane: prefix {opened.prefix} has no book liev, so nothing is sent: there are b, live\n"
    assert (ran.code, ran.err) == (1, said)
    assert run(on_topic(opened, "liev")) == []


def test_a_number_is_above_all_that_were_sent_also_with_another_key(opened: KafkaSettings) -> None:
    said = [Control(book="b", number=n, action="halt", effective_from=0) for n in (1, 2, 3, 7)]
    good = [sign(c, KEY, opened.prefix) for c in said]
    forged = sign(said[3], b"another key of somebody", opened.prefix)
    run(put(opened, good[2], forged, good[0]))
    assert run(send_control(opened, new_control("b", "resume"))).control.number == 8
    absurd = msgspec.structs.replace(said[0], number=2**62)
    run(put(opened, absurd, msgspec.structs.replace(said[0], book="c", number=90)))
    assert run(send_control(opened, new_control("b", "resume"))).control.number == 9


def test_a_number_is_above_all_that_were_applied_though_the_topic_knows_none(opened: KafkaSettings) -> None:
    seen = plain_run([opening(config(), "b"), ticks(40, book="b")])
    (rows,) = [e for _, e in seen if isinstance(e, Decisions)]
    raws = [to_json(msgspec.structs.replace(rows, controls=np.arange(2, 42)))]
    run(write(opened, DECISIONS, raws, "b"))
    beside = next(name for k in range(99) if partition_of(name := f"beside{k}", 4) == partition_of("b", 4))
    run(write(opened, DECISIONS, [raw.replace(b'"b"', f'"{beside}"'.encode()) for raw in raws] * 50, beside))
    sent = run(send_control(opened, new_control("b", "halt")))
    assert (sent.control.number, sent.reached) == (42, (40, 41))


def test_people_who_send_at_once_get_numbers_of_their_own(opened: KafkaSettings) -> None:
    async def together() -> list[int]:
        halts = [new_control("b", "halt", reason=f"person {i}") for i in range(3)]
        sent = await asyncio.gather(*(send_control(opened, halt) for halt in halts))
        return [s.control.number for s in sent]

    numbers = run(together())
    assert len(set(numbers)) == 3
    first: dict[int, str] = {}
    for control in run(on_topic(opened, "b")):
        first.setdefault(control.number, control.reason)
    assert [first[n] for n in numbers] == ["person 0", "person 1", "person 2"]


class Live:
    """The stages inside this process, and a book whose rows come while somebody waits."""

    def __init__(self, settings: KafkaSettings) -> None:
        self.settings = settings
        self.rows = ticks(2000, book="b")
        self.sent = 0

    async def feed(self, rows: int = 20) -> None:
        batch = cut(self.rows, self.sent, self.sent + rows)
        await write(self.settings, TICKS, [to_json(batch)], "b")
        self.sent += rows

    async def control(self, action: str, row: int = 0, seconds: float = 30.0, flow: bool = True) -> Outcome:
        """Send a control, and wait for its outcome while rows flow."""
        sent = await send_control(self.settings, new_control("b", action, row))
        waiting = asyncio.create_task(outcome(self.settings, sent, seconds))
        while not waiting.done():
            if flow:
                await self.feed()
            await asyncio.wait([waiting], timeout=0.3)
        return waiting.result()


def test_what_becomes_of_a_control_is_said(opened: KafkaSettings, tmp_path: Path) -> None:
    """In effect, idle, planned, passed, come to nothing, too late: one book through all of it."""
    live = Live(opened)

    async def everything() -> None:
        async with inside(opened, None):
            halted = await live.control("halt")
            assert halted.obeyed
            assert halted.row is not None
            assert halted.sentence == f"control 1 of book b (halt) is in effect from row {halted.row:,}"
            planned = await live.control("resume", 1900)
            assert (planned.obeyed, planned.row) == (True, None)
            assert "control 2 of book b (resume) is planned: the workers have read it, " in planned.sentence
            assert planned.sentence.endswith("and it is in effect from row 1,900")
            nothing = await live.control("roll-back")
            assert (nothing.obeyed, nothing.row is None) == (False, False)
            assert "came to nothing: book b has no weights to roll back to" in nothing.sentence
            idle = await live.control("reduce-only", seconds=6.0, flow=False)
            assert (idle.obeyed, idle.row) == (False, None)
            assert "(reduce-only) is NOT IN EFFECT after 6 s: the workers have read it" in idle.sentence
            assert "it is in effect from the next row that comes" in idle.sentence
            by_command = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "windvane", "control", "flatten", "--book", "b"),
                *("--bootstrap", opened.bootstrap, "--prefix", opened.prefix),
                stderr=asyncio.subprocess.PIPE,
            )
            waiting = asyncio.create_task(by_command.communicate())
            while not waiting.done():
                await live.feed()
                await asyncio.wait([waiting], timeout=0.3)
            assert by_command.returncode == 0
            assert b"control 5 of book b (flatten) is in effect from row " in waiting.result()[1]
            late = sign(Control(book="b", number=4, action="halt", effective_from=7), KEY, opened.prefix)
            copy = await on_topic(opened, "b")
            await put(opened, late, *copy)

            async def told() -> bool:
                return len(await letters(opened)) == 3

            async with asyncio.timeout(30):
                while not await told():
                    await asyncio.sleep(0.2)

    run(everything())
    nothing, passed, late = run(letters(opened))
    assert passed.startswith(
        "control 2 of book b (resume, from row 1900) is not applied: control 3 was applied"
    )
    assert nothing == "book b has no weights to roll back to: nothing is changed"
    assert late.startswith(
        "control 4 of book b (halt, from row 7) is not applied: another control had that number"
    )


async def letters(settings: KafkaSettings) -> list[str]:
    found = [from_json(raw) for raw in await records(settings, DEAD_LETTERS)]
    return [e.reason for e in found if isinstance(e, DeadLetter)]


def test_the_key_is_changed_while_a_book_runs_and_no_halt_is_lost(
    opened: KafkaSettings, tmp_path: Path
) -> None:
    """Workers learn the new key first and believe both; then people sign with it; then the old one goes."""
    new = "another key of the tests, no secret"
    both = msgspec.structs.replace(opened, control_key=new, control_key_old=opened.control_key)
    only = msgspec.structs.replace(opened, control_key=new)
    live, rows = Live(opened), list[int]()

    async def obeyed(person: KafkaSettings, *actions: str) -> None:
        live.settings = person
        for action in actions:
            found = await live.control(action)
            assert found.obeyed, found.sentence
            assert found.row is not None
            rows.append(found.row)

    async def everything() -> None:
        async with inside(opened, tmp_path):
            await obeyed(opened, "halt", "resume", "halt", "resume", "reduce-only")
        async with inside(both, tmp_path):
            await obeyed(opened, "resume")
            await obeyed(only, "halt", "resume")
        async with inside(only, tmp_path):
            await obeyed(only, "halt")
            live.settings = opened  # one who was forgotten
            found = await live.control("resume")
            assert (found.obeyed, found.row) == (False, None)
            said = (
                "control 10 of book b (resume) is REFUSED by the workers: control 10 is not signed by who may"
            )
            assert found.sentence.startswith(said)
            assert found.sentence.endswith("(they have another key, or none)")
            await obeyed(only, "flatten")

    run(everything())
    assert rows == sorted(set(rows))
    decided = [from_json(raw) for raw in run(records(opened, DECISIONS))]
    numbers = np.concatenate([e.controls for e in decided if isinstance(e, Decisions)])
    assert set(numbers.tolist()) - {0} == {*range(1, 10), 11}
    assert [int(np.argmax(numbers == n)) for n in (*range(1, 10), 11)] == rows


def test_without_a_key_nothing_is_sent(topics: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WINDVANE_CONTROL_KEY", raising=False)
    said = refusal(command(topics, "halt", "--book", "b"))
    assert said.startswith("controls are signed, and there is no key: set WINDVANE_CONTROL_KEY")
    assert run(on_topic(topics, "b")) == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("stop", "--book", "b"), "give one of halt, reduce-only, resume, flatten"),
        (("halt", "--book", "a/b"), "give a name without slashes"),
        (("halt", "--book", "b", "--from-seq", -1), "--from-seq is -1"),
        (("halt", "--book", "b", "--reason", "x" * 1001), "at most 1000"),
        (("halt", "--book", "b", "--wait", -1), "--wait is -1: give 0 to 3600 seconds"),
        (("halt",), "give --book, or --session of a `windvane live` that runs"),
    ],
)
def test_controls_that_cannot_be(words: tuple[object, ...], says: str) -> None:
    assert says in refusal(windvane("control", *words))


def test_a_reason_that_is_no_text_is_refused(settings: KafkaSettings) -> None:
    control = Control(book="b", number=1, action="halt", effective_from=0, reason="\udcff")
    with pytest.raises(ValueError, match="give it in UTF-8"):
        sign(control, KEY, "p")


def test_topics_must_be_there(settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINDVANE_CONTROL_KEY", KEY.decode())
    assert "is missing: run `windvane topics create" in refusal(command(settings, "halt", "--book", "b"))
