"""Whoever reads orders gets each that was committed, once, in order, whatever happens to reader and broker."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete
from aiokafka.structs import TopicPartition
from broker import Broker
from cli_harness import refusal, windvane
from order_log import PARTITIONS, lines, many, write

from windvane import OrderSubscriber
from windvane.infra.kafka.broker import layout
from windvane.infra.kafka.broker.clients import new_producer
from windvane.infra.kafka.broker.settings import KafkaSettings, partition_of
from windvane.infra.kafka.tools.bookmark import BookmarkError
from windvane.infra.kafka.tools.subscriber import SubscriberError, expired
from windvane.streams.records import Order
from windvane.streams.topics import ORDERS

GHOST = [b'{"id":"this was never committed"}']


def command(settings: KafkaSettings, *words: object) -> list[str]:
    """The command in a process of its own: stdout is bytes there."""
    code = "from windvane.infra.cli.main import main; main()"
    at = ("--bootstrap", settings.bootstrap, "--prefix", settings.prefix)
    return [sys.executable, "-c", code, "orders", *at, *map(str, words)]


def printed(settings: KafkaSettings, *words: object) -> list[bytes]:
    """The lines that a run which must work prints."""
    done = subprocess.run(command(settings, *words), capture_output=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, b""), done
    return done.stdout.splitlines()


def of_book(found: Sequence[bytes], book: str) -> tuple[bytes, ...]:
    return tuple(raw for raw in found if json.loads(raw)["book"] == book)


def together(book: str) -> str:
    """Another book on the same partition."""
    wanted = partition_of(book, PARTITIONS)
    return next(b for b in (f"other{k}" for k in range(99)) if partition_of(b, PARTITIONS) == wanted)


async def take(subscriber: OrderSubscriber, number: int) -> list[Order]:
    """The first orders; the last of them stays unacknowledged."""
    found: list[Order] = []
    async with subscriber:
        async for order in subscriber:
            found.append(order)
            if len(found) == number:
                break
    return found


def test_the_lines_are_those_of_orders_jsonl(topics: KafkaSettings) -> None:
    books = {
        "main": lines("main"),
        together("main"): lines(together("main"), seed=2),
        "b": lines("b", seed=3),
    }
    for book, raws in books.items():
        asyncio.run(write(topics, book, raws, each=50, aborting=GHOST))
    found = printed(topics, "--json")
    assert {book: of_book(found, book) for book in books} == books
    assert len(found) == sum(map(len, books.values())) > 500
    for book, raws in books.items():
        assert tuple(printed(topics, "--json", "--book", book)) == raws
    assert printed(topics, "--json", "--book", "nobody") == []


def test_a_second_copy_of_an_order_is_dropped_and_told(topics: KafkaSettings) -> None:
    raws = lines()
    asyncio.run(write(topics, "main", [*raws[:40], *raws[20:30], *raws[35:], raws[-1]], each=9))
    done = subprocess.run(command(topics, "--json"), capture_output=True, timeout=120, check=False)
    assert tuple(done.stdout.splitlines()) == raws
    told = done.stderr.decode().splitlines()
    again = [json.loads(raw)["id"] for raw in [*raws[20:30], *raws[35:40], raws[-1]]]
    assert [line.split()[-2] for line in told] == again


def test_since_a_seq_or_a_time(topics: KafkaSettings) -> None:
    raws = lines()
    asyncio.run(write(topics, "main", raws, each=100))
    middle = json.loads(raws[200])
    assert tuple(printed(topics, "--json", "--since", middle["seq"])) == raws[200:]
    assert tuple(printed(topics, "--json", "--since", middle["time"])) == raws[200:]
    later = middle["time"].replace(".000000000Z", ".000000001Z")
    assert tuple(printed(topics, "--json", "--since", later)) == raws[201:]
    assert tuple(printed(topics, "--json", "--since", middle["time"][:10])) == tuple(
        raw for raw in raws if json.loads(raw)["time"] >= middle["time"][:10]
    )


def test_until_idle_waits_for_what_comes_and_then_ends(topics: KafkaSettings) -> None:
    raws = lines()[:30]
    asyncio.run(write(topics, "main", raws[:10]))
    with subprocess.Popen(command(topics, "--json", "--until-idle", 4), stdout=subprocess.PIPE) as reader:
        assert reader.stdout is not None
        first = [reader.stdout.readline() for _ in range(10)]
        asyncio.run(write(topics, "main", raws[10:], each=20))
        came = time.monotonic()
        rest = reader.stdout.read().splitlines()
        quiet = time.monotonic() - came
        assert reader.wait(30) == 0
    assert [line.rstrip() for line in first] + rest == list(raws)
    assert 3 < quiet < 15


def test_what_is_not_committed_yet_is_not_an_order(topics: KafkaSettings) -> None:
    asyncio.run(_uncommitted(topics))


async def _uncommitted(settings: KafkaSettings) -> None:
    """An open transaction is no order; once it is committed, it is."""
    raws = lines()[:5]
    await write(settings, "main", raws[:2])
    producer = new_producer(settings, f"{settings.prefix}.open")
    await producer.start()
    await producer.begin_transaction()
    place = {"partition": partition_of("main", PARTITIONS), "key": b"main"}
    for raw in raws[2:]:
        await producer.send(settings.topic(ORDERS), raw, **place)
    await producer.flush()
    now = [o.seq async for o in OrderSubscriber(settings, follow=False)]
    assert len(now) == 2
    async with OrderSubscriber(settings, follow=True) as subscriber:
        following = aiter(subscriber)
        assert [(await anext(following)).seq for _ in range(2)] == now
        await producer.commit_transaction()
        third = await asyncio.wait_for(anext(following), 20)
    assert third.seq == json.loads(raws[2])["seq"]
    await producer.stop()


def test_a_line_for_a_person_marks_what_is_too_late(topics: KafkaSettings) -> None:
    old = many(1, "old")
    fresh = many(1, "fresh", valid_until=time.time_ns() + 10**15)
    asyncio.run(write(topics, "old", old))
    asyncio.run(write(topics, "fresh", fresh))
    shown = {line.split()[1]: line for line in printed(topics)}
    assert shown[b"old"].endswith(b"expired")
    assert b"expired" not in shown[b"fresh"]
    assert sorted(printed(topics, "--json")) == sorted([*old, *fresh]), "the bytes are never touched"


def test_garbage_is_told_and_passed_over(topics: KafkaSettings) -> None:
    raws = lines()[:3]
    bad = [b"", b"garbage", b"[1]", raws[0].replace(b'"qty":', b'"qty":"x","q":'), b"\xff\xfe"]
    asyncio.run(write(topics, "main", [*bad, *raws], each=8))
    done = subprocess.run(command(topics, "--json"), capture_output=True, timeout=120, check=False)
    assert done.stdout.splitlines() == list(raws)
    told = done.stderr.decode().splitlines()
    assert len(told) == len(bad)
    assert all("is not an order" in line and "offset" in line for line in told)


def test_ctrl_c_ends_with_130_and_a_closed_pipe_quietly(topics: KafkaSettings) -> None:
    raws = many(20_000)
    asyncio.run(write(topics, "many", raws, each=5000))
    ways = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command(topics, "--json", "--follow"), **ways) as reader:  # type: ignore[call-overload]
        assert reader.stdout.readline().rstrip() == raws[0]
        reader.stdout.close()
        assert (reader.wait(30), reader.stderr.read()) == (0, b"")
    with subprocess.Popen(command(topics, "--json", "--follow", "--since", 19_999), **ways) as reader:  # type: ignore[call-overload]
        assert reader.stdout.readline().rstrip() == raws[-1]
        reader.send_signal(signal.SIGINT)
        assert (reader.wait(30), reader.stderr.read()) == (130, b"")


def test_tens_of_thousands_of_orders_take_seconds(topics: KafkaSettings) -> None:
    raws = many(50_000)
    asyncio.run(write(topics, "many", raws, each=5000))
    began = time.monotonic()
    assert printed(topics, "--json", "--book", "many") == raws
    assert time.monotonic() - began < 20, "about 3 s on two idle cores"


def test_what_cannot_be_is_one_sentence(settings: KafkaSettings) -> None:
    at = ("--bootstrap", settings.bootstrap, "--prefix", settings.prefix)
    assert "topics create" in refusal(windvane("orders", *at))
    assert "start one" in refusal(windvane("orders", "--bootstrap", "127.0.0.1:1"))
    assert "--since is 'soon'" in refusal(windvane("orders", *at, "--since", "soon"))
    assert "--until-idle is -1" in refusal(windvane("orders", *at, "--until-idle", "-1"))
    assert "--book is empty" in refusal(windvane("orders", *at, "--book", ""))


def test_a_reader_goes_on_after_the_last_order_it_acted_on(topics: KafkaSettings, tmp_path: Path) -> None:
    raws = lines()[:12]
    asyncio.run(write(topics, "main", raws, each=5, aborting=GHOST))
    seqs = [json.loads(raw)["seq"] for raw in raws]
    file = tmp_path / "acted"
    first = asyncio.run(take(OrderSubscriber(topics, resume=file), 5))
    assert [o.seq for o in first] == seqs[:5]
    again = asyncio.run(take(OrderSubscriber(topics, resume=file), 3))
    assert [o.seq for o in again] == seqs[4:7], "the fifth was given and not acknowledged"
    asyncio.run(_act_on_two(topics, file, seqs[6:8]))
    rest = asyncio.run(take(OrderSubscriber(topics, resume=file, follow=False), 99))
    assert [o.seq for o in rest] == seqs[8:]


async def _act_on_two(settings: KafkaSettings, file: Path, expected: list[int]) -> None:
    """Acknowledge by `done` alone, and stop before asking for the next."""
    async with OrderSubscriber(settings, resume=file) as subscriber:
        orders = aiter(subscriber)
        for seq in expected:
            order = await anext(orders)
            assert order.seq == seq
            await subscriber.done(order)
            await subscriber.done(order)


def test_a_duplicate_of_what_was_acted_on_is_dropped_after_a_restart(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    raws = lines()[:6]
    file = tmp_path / "acted"
    asyncio.run(write(topics, "main", raws[:4]))
    asyncio.run(take(OrderSubscriber(topics, resume=file, follow=False), 99))
    asyncio.run(write(topics, "main", [raws[1], raws[3], *raws[4:]]))
    rest = asyncio.run(take(OrderSubscriber(topics, resume=file, follow=False), 99))
    assert [o.id for o in rest] == [json.loads(raw)["id"] for raw in raws[4:]]


def test_a_file_to_resume_from_that_does_not_fit_is_refused(topics: KafkaSettings, tmp_path: Path) -> None:
    file = tmp_path / "acted"
    asyncio.run(write(topics, "main", lines()[:20], each=5))
    asyncio.run(take(OrderSubscriber(topics, resume=file), 5))
    with pytest.raises(BookmarkError, match="give another file"):
        OrderSubscriber(topics, resume=file, book="main")
    with pytest.raises(BookmarkError, match="give another file"):
        OrderSubscriber(topics, prefix="else", resume=file)
    asyncio.run(_delete(topics, before=15))
    with pytest.raises(SubscriberError, match="orders were deleted"):
        asyncio.run(take(OrderSubscriber(topics, resume=file, follow=False), 99))
    file.write_text("17")
    with pytest.raises(BookmarkError, match="does not say where to go on"):
        OrderSubscriber(topics, resume=file)


async def _delete(settings: KafkaSettings, before: int) -> None:
    admin = AIOKafkaAdminClient(**settings.client())
    await admin.start()
    place = TopicPartition(settings.topic(ORDERS), partition_of("main", PARTITIONS))
    await admin.delete_records({place: RecordsToDelete(before_offset=before)})
    await admin.close()


def test_an_order_expires_by_the_wall_clock(topics: KafkaSettings) -> None:
    asyncio.run(write(topics, "main", lines()[:1]))
    order = asyncio.run(take(OrderSubscriber(topics, follow=False), 1))[0]
    assert isinstance(order, Order)
    assert expired(order)
    assert OrderSubscriber.expired(order)


@pytest.mark.slow
def test_a_broker_that_dies_loses_and_repeats_nothing(kafka_home: Path, tmp_path: Path) -> None:
    broker = Broker(kafka_home, tmp_path / "broker")
    broker.start()
    try:
        settings = KafkaSettings.load(broker.bootstrap, "restart")
        asyncio.run(layout.create(settings, PARTITIONS, 1))
        found = asyncio.run(_across_a_restart(settings, broker, tmp_path / "acted"))
    finally:
        broker.kill()
    assert found == [json.loads(raw)["id"] for raw in lines()[:60]]


async def _across_a_restart(settings: KafkaSettings, broker: Broker, file: Path) -> list[str]:
    raws = lines()[:60]
    await write(settings, "main", raws[:30])
    found: list[str] = []
    async with OrderSubscriber(settings, resume=file) as subscriber:
        orders = aiter(subscriber)
        found += [(await anext(orders)).id for _ in range(30)]
        await asyncio.to_thread(broker.kill)
        waiting = asyncio.ensure_future(anext(orders))
        await asyncio.to_thread(broker.start)
        await write(settings, "main", raws[30:])
        found.append((await asyncio.wait_for(waiting, 60)).id)
        found += [order.id async for order in _first(orders, 29)]
    return found


async def _first(orders: AsyncIterator[Order], number: int) -> AsyncIterator[Order]:
    for _ in range(number):
        yield await asyncio.wait_for(anext(orders), 60)
