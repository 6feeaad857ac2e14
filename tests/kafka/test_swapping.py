"""Swaps on a broker: sent while the workers run, applied at a row that is recorded, the same in every other run."""

import asyncio
import shutil
from asyncio import run
from pathlib import Path

import msgspec
import numpy as np
import pytest
from cli_harness import Ran, refusal, windvane
from running import PARTITIONS, Inside, inside, put, records

from retrained_book import FakeTrainer, events, settings
from simulated_book import config, controls, learner, opening, same, swaps, table
from simulated_book import ticks as market
from some_policy import form, layers
from windvane.infra.kafka.broker.settings import KafkaSettings, partition_of
from windvane.infra.kafka.broker.signing import guard
from windvane.infra.kafka.tools.controls import UnknownBookError
from windvane.infra.kafka.tools.history import of_journal
from windvane.infra.kafka.tools.outcomes import NotObeyedError, Outcome
from windvane.infra.kafka.tools.replayer import send
from windvane.infra.kafka.tools.swapping import load_meta_models
from windvane.infra.policies.folder import packed
from windvane.infra.runs.journal import JournalWriter
from windvane.infra.training_sessions import checkpoints
from windvane.metamodel.base import weights
from windvane.metamodel.base.weights import WeightsError
from windvane.metamodel.learning.members import predictor
from windvane.metamodel.trading.ensemble import manager_of
from windvane.streams.codec import from_json, to_json
from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.events import Control, Decisions, Event, Model, Orders, Statements, Ticks, cut, join
from windvane.streams.models import swap_to
from windvane.streams.records import order_lines
from windvane.streams.topics import CONTROL, DEAD_LETTERS, DECISIONS, MODELS, ORDERS, STATEMENTS, TICKS, Topic

ROWS, FIRST, SECOND = 1_000, 500, 800


def of_predictor(agents: int = 6) -> bytes:
    rng = np.random.default_rng(3)
    shapes = predictor.shapes(50, agents)
    return weights.to_bytes(
        {n: (0.1 * rng.standard_normal(s)).astype(np.float16) for n, s in shapes.items()}, {}
    )


def of_learner() -> bytes:
    return learner(settings(), of_predictor())


async def lying(kafka: KafkaSettings, topic: Topic) -> list[Event]:
    return [from_json(raw) for raw in await records(kafka, topic, partition_of("book", PARTITIONS))]


async def decided(kafka: KafkaSettings) -> Decisions | None:
    found = [e for e in await lying(kafka, DECISIONS) if isinstance(e, Decisions)]
    return join(found) if found else None


def received(stages: Inside, topic: Topic) -> float:
    """Records that the ensemble has read while it ran."""
    samples = (s for family in stages.metrics["ensemble"].registry.collect() for s in family.samples)
    return sum(
        s.value
        for s in samples
        if s.name == "windvane_records_received_total" and s.labels["topic"] == topic.name
    )


def embedded(*orders: Event) -> list[Event]:
    seen: list[Event] = []
    runner = EmbeddedRunner(lambda topic, event: seen.append(event), trainer=FakeTrainer())
    given = events(ROWS)
    runner.feed(given[:1])
    runner.control(orders)
    runner.feed(given[1:])
    return seen


def test_swaps_while_the_workers_run_miss_no_row_and_are_the_same_in_every_run(
    topics: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A learner's record is larger than what other topics hold. The ensemble is robbed of its state, too."""
    monkeypatch.setenv("WINDVANE_CONTROL_KEY", topics.control_key or "")
    for name, raw in (("learner", of_learner()), ("predictor", of_predictor())):
        (tmp_path / name).write_bytes(raw)
    start, ticks, end = events(ROWS)
    assert isinstance(ticks, Ticks)

    async def rows(stages: Inside, first: int, stop: int) -> None:
        await put(topics, TICKS, [to_json(cut(ticks, at, at + 20)) for at in range(first, stop, 20)], "book")

        async def done() -> bool:
            found = await decided(topics)
            return found is not None and found.last == stop - 1

        await stages.until(f"row {stop - 1}", done, every=0.5)

    async def swap(name: str, stages: Inside | None = None) -> "asyncio.Task[Outcome]":
        """Send it; returns when stages that run have read both records, with what waits for the book to obey."""
        before = {topic: received(stages, topic) if stages else 0 for topic in (MODELS, CONTROL)}
        ordered = asyncio.to_thread(
            load_meta_models,
            tmp_path / name,
            book="book",
            bootstrap=topics.bootstrap,
            prefix=topics.prefix,
            wait=60.0 if stages else None,
        )
        waiting = asyncio.create_task(ordered)

        async def there() -> bool:
            return stages is not None and all(received(stages, topic) > n for topic, n in before.items())

        if stages is not None:
            await stages.until("the swap", there)
        else:
            await waiting
        return waiting

    async def forged() -> None:
        model, control = swap_to(of_predictor(), book="book", number=1)
        await put(topics, MODELS, [to_json(model)], "book")
        await put(topics, CONTROL, [to_json(msgspec.structs.replace(control, signature="00" * 32))], "book")

    async def everything() -> tuple[float, Outcome]:
        await put(topics, TICKS, [to_json(start)], "book")
        async with inside(topics, tmp_path / "states", trainer=FakeTrainer()) as stages:
            await forged()
            await rows(stages, 0, FIRST)
            obeyed = await swap("learner", stages)
            await rows(stages, FIRST, SECOND)
            outcome = await obeyed
        shutil.rmtree(tmp_path / "states" / topics.prefix / "ensemble")
        await swap("predictor")
        async with inside(topics, tmp_path / "states", trainer=FakeTrainer()) as again:
            await rows(again, SECOND, ROWS)
            await put(topics, TICKS, [to_json(end)], "book")

            async def closed() -> bool:
                found = await lying(topics, STATEMENTS)
                return bool(found) and isinstance(found[-1], Statements) and found[-1].last == ROWS - 1

            await again.until("the end", closed, every=0.5)
        return stages.restarts() + again.restarts(), outcome

    restarts, outcome = run(everything())
    assert restarts == 0
    mine = run(decided(topics))
    assert mine is not None
    assert mine.seq.tolist() == list(range(ROWS))
    at = [int(np.argmax(mine.controls == number)) for number in (2, 3)]  # above the forged one
    assert FIRST <= at[0] < SECOND <= at[1]
    assert (outcome.obeyed, outcome.row) == (True, at[0])
    letters = [from_json(raw) for raw in run(records(topics, DEAD_LETTERS))]
    assert {msgspec.structs.asdict(e)["reason"] for e in letters} == {
        "model 1 is not signed by who may: set the key that the workers have",
        "control 1 is not signed by who may: set the key that the workers have",
    }
    seen = embedded(
        *swap_to(of_learner(), book="book", number=2, effective_from=at[0]),
        *swap_to(of_predictor(), book="book", number=3, effective_from=at[1]),
    )
    same(table([mine]), table([join([e for e in seen if isinstance(e, Decisions)])]))
    orders = [line for e in seen if isinstance(e, Orders) for _, line in order_lines(e, "BTCUSD")]
    assert run(records(topics, ORDERS, partition_of("book", PARTITIONS))) == orders
    assert orders
    where = ("--bootstrap", topics.bootstrap, "--prefix", topics.prefix, "--book", "book")
    audit = windvane("replay", *where, "--as-recorded", "--out", tmp_path / "audit")
    assert audit.code == 0, audit.err
    assert "the same to the last bit" in audit.err


def test_a_journal_with_swaps_is_sent_signed_models_first(topics: KafkaSettings, tmp_path: Path) -> None:
    orders = [*controls(), *swaps()]
    folder = tmp_path / "journal"
    with JournalWriter(folder) as writer:
        runner = EmbeddedRunner(writer.write)
        runner.feed([opening(config())])
        runner.control(orders)
        runner.feed([market(700)])
    history = of_journal(folder, "again", lockstep=True)
    wanted = [msgspec.structs.replace(order, book="again") for order in orders]
    assert list(history.controls) == wanted
    sent = send(topics, history, speed=0.0, rows=256, progress=lambda rows: None, stopping=lambda: False)
    assert run(sent) == 700
    believed = guard(topics)
    for topic, kind in ((MODELS, Model), (CONTROL, Control)):
        found = [from_json(raw) for raw in run(records(topics, topic))]
        assert all(isinstance(e, Control | Model) and believed(e) for e in found)
        assert [msgspec.structs.replace(e, signature="") for e in found] == [
            e for e in wanted if isinstance(e, kind)
        ]


def command(kafka: KafkaSettings, *words: object) -> Ran:
    return windvane(
        "control", *words, "--book", "book", "--bootstrap", kafka.bootstrap, "--prefix", kafka.prefix
    )


def test_the_command_checks_before_it_sends(
    topics: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINDVANE_CONTROL_KEY", topics.control_key or "")
    good, other, junk = tmp_path / "good", tmp_path / "other", tmp_path / "junk"
    for path, raw in ((good, of_predictor()), (other, of_predictor(5)), (junk, b"\x80junk")):
        path.write_bytes(raw)
    run(put(topics, TICKS, [to_json(events(ROWS)[0])], "book"))
    beside = tmp_path / "beside"
    policies = {"dqn": packed(layers((51, 16, 8, 3), 0, 0), form())}
    checkpoints.write(beside, manager_of(config()), {}, policies=policies)
    for words, says in (
        (("swap",), "give --model FILE with swap"),
        (("halt", "--model", good), "give --model FILE with swap"),
        (("swap", "--model", tmp_path / "absent"), "holds no checkpoint"),
        (("swap", "--model", junk), f"{junk}: not safetensors"),
        (("swap", "--model", beside), f"{beside}: it was learned beside a policy of its own, dqn"),
        (("swap", "--model", other), f"{other}: the predictor needs a tensor w1 of shape (6, 62, 128)"),
    ):
        assert says in refusal(command(topics, *words))
    assert run(records(topics, MODELS)) == run(records(topics, CONTROL)) == []
    ran = command(topics, "swap", "--model", good, "--from-seq", 700, "--wait", 0)
    written, loud = ran.err.splitlines()
    assert (ran.code, written) == (1, "control 1 of book book is written: swap, from row 700")
    assert "control 1 of book book (swap) is NOT IN EFFECT after 0 s: no worker" in loud
    (model,), (control,) = run(lying(topics, MODELS)), run(lying(topics, CONTROL))
    assert isinstance(model, Model)
    assert isinstance(control, Control)
    assert (model.number, model.sha256, control.effective_from) == (1, control.model, 700)
    assert model.sha256 == weights.digest(of_predictor())
    with pytest.raises(WeightsError, match="not safetensors"):
        load_meta_models(junk, book="elsewhere", bootstrap=topics.bootstrap, prefix=topics.prefix)
    where = {"bootstrap": topics.bootstrap, "prefix": topics.prefix}
    with pytest.raises(UnknownBookError, match="has no book elsewhere, so nothing is sent: there are book"):
        load_meta_models(good, book="elsewhere", **where)
    with pytest.raises(NotObeyedError, match=r"control 2 of book book \(swap\) is NOT IN EFFECT after 0.1 s"):
        load_meta_models(good, book="book", wait=0.1, **where)
    assert len(run(lying(topics, CONTROL))) == 2
