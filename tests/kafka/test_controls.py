"""Controls: signed by who has the key, numbered without gaps, refused otherwise."""

import asyncio
import hmac
import json
from asyncio import run
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from cli_harness import Ran, refusal, windvane
from hypothesis import given
from hypothesis import strategies as st

from windvane.infra.kafka.ordering import order
from windvane.infra.kafka.settings import KafkaSettings, partition_of
from windvane.infra.kafka.signing import sign, verified
from windvane.streams.codec import WireError, from_json, to_json
from windvane.streams.events import Control, Model
from windvane.streams.topics import CONTROL

KEY = b"the key of the tests, not a secret"

texts = st.text(st.characters(exclude_categories=["Cs"]))
controls = st.builds(
    Control,
    book=texts,
    number=st.integers(1, 2**40),
    action=st.sampled_from(["halt", "resume"]),
    effective_from=st.integers(0, 2**62),
    reason=texts,
    model=texts,
)
models = st.builds(Model, book=texts, number=st.integers(1, 2**40), sha256=texts, weights=st.just(""))
said = st.one_of(controls, models)


@given(said, texts)
def test_what_is_signed_is_believed_after_its_way_over_the_wire(
    control: Control | Model, prefix: str
) -> None:
    signed = sign(control, KEY, prefix)
    read = from_json(to_json(signed))
    assert isinstance(read, Control | Model)
    assert verified(read, KEY, prefix)
    assert msgspec.structs.replace(signed, signature="") == control


@given(said, texts, st.data())
def test_whatever_is_changed_is_not_believed(
    control: Control | Model, prefix: str, data: st.DataObject
) -> None:
    signed = sign(control, KEY, prefix)
    other = data.draw(controls if isinstance(control, Control) else models)
    unsigned = ("signature", "weights")  # the weights are those of the SHA-256, or left out
    name = data.draw(st.sampled_from([n for n in control.__struct_fields__ if n not in unsigned]))
    forged = msgspec.structs.replace(signed, **{name: getattr(other, name)})
    assert verified(forged, KEY, prefix) == (forged == signed)
    assert not verified(signed, KEY, f"{prefix}x")
    assert not verified(signed, KEY + b"x", prefix)
    assert not verified(control, KEY, prefix)


def test_fields_cannot_flow_into_each_other() -> None:
    one = Control(book="a", number=1, action="halt", effective_from=0, reason='x","z":"')
    two = Control(book='a","number":1', number=1, action="halt", effective_from=0)
    assert len({sign(c, KEY, p).signature for c in (one, two) for p in ("", "p", 'p","reason":"x')}) == 6


def test_others_can_sign_by_what_is_written() -> None:
    said = {"action": "halt", "book": "b", "effective_from": 0, "number": 1, "prefix": "p", "reason": "nötig"}
    text = json.dumps(said, separators=(",", ":"), ensure_ascii=False).encode()
    control = Control(book="b", number=1, action="halt", effective_from=0, reason="nötig")
    assert sign(control, KEY, "p").signature == hmac.digest(KEY, text, "sha256").hex()
    swap = msgspec.structs.replace(control, action="swap", model="ab")
    text = text.replace(b'"halt"', b'"swap"').replace(b'"number"', b'"model":"ab","number"')
    assert sign(swap, KEY, "p").signature == hmac.digest(KEY, text, "sha256").hex()
    model = Model(book="b", number=1, sha256="ab", weights="")
    text = b'{"book":"b","number":1,"prefix":"p","sha256":"ab"}'
    assert sign(model, KEY, "p").signature == hmac.digest(KEY, text, "sha256").hex()


def test_what_is_hostile_is_not_believed_and_breaks_nothing() -> None:
    event = from_json(
        b'{"type":"Control","book":"b","number":1,"action":"halt","effective_from":0,"signature":"\\u00e4\\u0000"}'
    )
    assert isinstance(event, Control)
    assert not verified(event, KEY, "p")
    with pytest.raises(WireError, match="64-bit"):
        from_json(
            b'{"type":"Control","book":"b","number":99999999999999999999999,"action":"halt","effective_from":0}'
        )


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


def test_the_command_sends_what_workers_believe(
    topics: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINDVANE_CONTROL_KEY", KEY.decode())
    first = command(topics, "halt", "--book", "b", "--reason", "news")
    second = command(topics, "resume", "--book", "b", "--from-seq", 5000)
    third = command(topics, "flatten", "--book", "b")
    assert (first.code, first.out, first.err) == (0, "", "sent control 1 to book b: halt, at once\n")
    assert second.err == "sent control 2 to book b: resume, from row 5,000\n"
    assert third.err.splitlines()[1] == (
        "it passes control 2, for a later row: what is not applied yet is cancelled, send it again"
    )
    found = run(on_topic(topics, "b"))
    assert [(c.number, c.action, c.effective_from, c.reason) for c in found] == [
        (1, "halt", 0, "news"),
        (2, "resume", 5000, ""),
        (3, "flatten", 0, ""),
    ]
    assert all(verified(c, KEY, topics.prefix) for c in found)


def test_only_signed_ones_count_and_a_missing_number_is_filled(topics: KafkaSettings) -> None:
    said = [Control(book="b", number=n, action="halt", effective_from=0) for n in (1, 2, 3, 7)]
    good = [sign(c, KEY, topics.prefix) for c in said]
    foreign = sign(said[1], KEY, "another-prefix")
    forged = sign(said[2], b"another key of somebody", topics.prefix)
    run(put(topics, good[0], foreign, forged, said[2], good[3]))
    assert run(order(topics, "b", "resume", 0, "")).control.number == 2
    assert run(order(topics, "b", "resume", 0, "")).control.number == 3


def test_people_who_send_at_once_get_numbers_of_their_own(topics: KafkaSettings) -> None:
    async def together() -> list[int]:
        sent = await asyncio.gather(*(order(topics, "b", "halt", 0, f"person {i}") for i in range(3)))
        return [s.control.number for s in sent]

    assert sorted(run(together())) == [1, 2, 3]
    first: dict[int, str] = {}
    for control in run(on_topic(topics, "b")):
        first.setdefault(control.number, control.reason)
    assert sorted(first.values()) == ["person 0", "person 1", "person 2"]


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
        (("halt",), "Missing option '--book'"),
    ],
)
def test_orders_that_cannot_be(words: tuple[object, ...], says: str) -> None:
    assert says in refusal(windvane("control", *words))


def test_a_reason_that_is_no_text_is_refused(settings: KafkaSettings) -> None:
    control = Control(book="b", number=1, action="halt", effective_from=0, reason="\udcff")
    with pytest.raises(ValueError, match="give it in UTF-8"):
        sign(control, KEY, "p")


def test_topics_must_be_there(settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINDVANE_CONTROL_KEY", KEY.decode())
    assert "is missing: run `windvane topics create" in refusal(command(settings, "halt", "--book", "b"))
