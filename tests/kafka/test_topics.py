"""The topics on a real broker: made once, checked, mended, and never made by asking."""

import re
from asyncio import run

import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import MessageSizeTooLargeError
from cli_harness import refusal, windvane

from windvane.infra.kafka.broker import layout
from windvane.infra.kafka.broker.admin import AIOKafkaAdminClient, Setup
from windvane.infra.kafka.broker.settings import KafkaSettings
from windvane.streams.codec import to_json
from windvane.streams.events import DeadLetter
from windvane.streams.topics import DEAD_LETTERS, TICKS, TOPICS

ALL = {*(t.name for t in TOPICS), layout.SNAPSHOTS, layout.SUMMARIES}


async def listed(settings: KafkaSettings) -> set[str]:
    """Names on the broker of this prefix, without it."""
    async with Setup(settings) as setup:
        names = await setup._admin.list_topics()
    return {n.removeprefix(f"{settings.prefix}.") for n in names if n.startswith(f"{settings.prefix}.")}


async def alter(settings: KafkaSettings, name: str, **values: str) -> None:
    """Set settings of a topic behind our back; names with _ for dots."""
    async with Setup(settings) as setup:
        config = {k.replace("_", "."): v for k, v in values.items()}
        await setup._admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, config)])


async def config_of(settings: KafkaSettings, name: str) -> dict[str, str]:
    async with Setup(settings) as setup:
        return dict((await setup.topics([name]))[name].config)


async def admin_does(settings: KafkaSettings, what: str, *words: object) -> None:
    admin = AIOKafkaAdminClient(**settings.client())
    await admin.start()
    try:
        await getattr(admin, what)(*words)
    finally:
        await admin.close()


async def write(settings: KafkaSettings, topic: str, raw: bytes, most: int = 2**20) -> None:
    producer = AIOKafkaProducer(**settings.client(), max_request_size=most)
    await producer.start()
    try:
        await producer.send_and_wait(topic, raw, key=b"book", partition=0)
    finally:
        await producer.stop()


def options(settings: KafkaSettings) -> tuple[str, ...]:
    return ("--bootstrap", settings.bootstrap, "--prefix", settings.prefix)


def test_the_command_makes_them_once(settings: KafkaSettings) -> None:
    words = ("topics", "create", *options(settings), "--partitions", 3)
    first, second = windvane(*words), windvane(*words)
    assert (first.code, second.code) == (0, 0), (first, second)
    assert f"made {settings.prefix}.ticks with 3 partitions, kept 30 days" in first.err
    assert f"made {settings.prefix}.models with 3 partitions, kept for ever" in first.err
    assert second.err == f"the topics of {settings.prefix} are ready: books lie on 3 partitions\n"
    assert run(listed(settings)) == ALL
    assert windvane("topics", "check", *options(settings)).code == 0


def test_missing_topics_are_told_and_not_made(settings: KafkaSettings) -> None:
    ran = windvane("topics", "check", *options(settings))
    command = f"windvane topics create --bootstrap {settings.bootstrap} --prefix {settings.prefix}"
    assert ran.code == 1
    assert ran.err == f"windvane: topic {settings.prefix}.ticks is missing: run `{command} --partitions 4`\n"
    shown = windvane("topics", "describe", *options(settings))
    assert shown.code == 1
    assert shown.out.count("missing") == len(ALL)
    assert run(listed(settings)) == set()


def test_one_that_was_deleted_is_told_with_the_partitions_of_the_others(topics: KafkaSettings) -> None:
    run(admin_does(topics, "delete_topics", [f"{topics.prefix}.orders"]))
    with pytest.raises(layout.LayoutError, match=r"orders is missing: run .* --partitions 4`"):
        run(layout.check(topics))
    assert run(layout.create(topics)) == [f"made {topics.prefix}.orders with 4 partitions, kept 90 days"]
    assert run(layout.check(topics)) == 4


def test_unequal_partitions_are_told_and_mended_while_nothing_would_move(settings: KafkaSettings) -> None:
    run(admin_does(settings, "create_topics", [NewTopic(settings.topic(TICKS), 1, 1)]))
    run(layout.create(settings, partitions=1))
    run(
        admin_does(
            settings, "create_partitions", {f"{settings.prefix}.features": NewPartitions(total_count=4)}
        )
    )
    with pytest.raises(layout.LayoutError) as caught:
        run(layout.check(settings))
    said, p = str(caught.value), settings.prefix
    assert said.startswith(
        f"topic {p}.ticks has 1 partition, {p}.features has 4: run `windvane topics create"
    )
    assert said.endswith("--partitions 4`")
    assert f"widened {p}.ticks from 1 to 4 partitions" in run(layout.create(settings, partitions=4))
    assert run(layout.check(settings)) == 4


def test_a_book_never_changes_its_partition(topics: KafkaSettings) -> None:
    run(write(topics, topics.topic(TICKS), b"{}"))
    for number in (2, 8):
        said = refusal(windvane("topics", "create", *options(topics), "--partitions", number))
        assert f"{topics.prefix}.ticks has 4 partitions, not {number}, and a book must never" in said
        assert "give --partitions 4 or another --prefix" in said
    assert run(layout.check(topics)) == 4


@pytest.mark.parametrize(
    ("topic", "setting", "wrong", "right"),
    [
        ("snapshots", "cleanup_policy", "delete", "compact"),
        ("orders", "cleanup_policy", "compact", "delete"),
        ("control", "retention_ms", "1000", "-1"),
        ("snapshots", "max_message_bytes", "1000000", str(layout.MOST_STATE_BYTES)),
        ("ticks", "message_timestamp_type", "CreateTime", "LogAppendTime"),
    ],
)
def test_what_would_lose_records_is_told_and_mended(
    topics: KafkaSettings, topic: str, setting: str, wrong: str, right: str
) -> None:
    name, key = f"{topics.prefix}.{topic}", setting.replace("_", ".")
    own = {k.replace(".", "_"): v for k, v in run(config_of(topics, name)).items() if k in _ours(topic)}
    run(alter(topics, name, **(own | {setting: wrong, "flush_ms": "12345"})))
    with pytest.raises(layout.LayoutError, match=rf"{topic} has {key}={wrong}, it needs {right}: run "):
        run(layout.check(topics))
    assert run(layout.create(topics)) == [f"set {key} of {name}"]
    assert run(layout.check(topics)) == 4
    after = run(config_of(topics, name))
    assert (after[key], after["flush.ms"]) == (right, "12345")


def _ours(topic: str) -> set[str]:
    return set(next(kept for kept in layout.LAYOUT if kept.name == topic).config(1))


def test_retention_is_the_operators_where_nothing_depends_on_it(topics: KafkaSettings) -> None:
    name = topics.topic(TICKS)
    own = {k.replace(".", "_"): v for k, v in run(config_of(topics, name)).items() if k in _ours("ticks")}
    run(alter(topics, name, **(own | {"retention_ms": "3600000"})))
    assert run(layout.check(topics)) == 4
    assert run(layout.create(topics)) == []
    row = run(layout.describe(topics))[0]
    assert (row.topic, row.partitions, row.retention, row.records) == (name, 4, "1 h", 0)


def test_a_state_of_16_mib_fits_and_an_event_of_2_does_not(topics: KafkaSettings) -> None:
    run(write(topics, f"{topics.prefix}.{layout.SNAPSHOTS}", bytes(2**24), most=2**25))
    with pytest.raises(MessageSizeTooLargeError):
        run(write(topics, topics.topic(TICKS), bytes(2**21), most=2**25))


def test_describe_counts_what_is_there(topics: KafkaSettings) -> None:
    for _ in range(3):
        run(write(topics, topics.topic(TICKS), b"{}"))
    ran = windvane("topics", "describe", *options(topics))
    lines = {line.split()[0].removeprefix(f"{topics.prefix}."): line.split() for line in ran.out.splitlines()}
    assert ran.code == 0
    assert lines["ticks"][1:] == ["4", "1", "delete", "30", "days", "3", "book", "feed"]
    assert lines["models"][1:] == ["4", "1", "delete", "for", "ever", "0", "book", "people"]
    assert set(lines) == ALL | {"topic"}


@pytest.mark.parametrize("words", [("--partitions", 0), ("--partitions", 5000), ("--replication", 0)])
def test_numbers_that_cannot_be(words: tuple[str, int]) -> None:
    assert f"{words[0]} is {words[1]}" in refusal(windvane("topics", "create", *words))


def test_more_copies_than_brokers_are_refused(settings: KafkaSettings) -> None:
    said = refusal(windvane("topics", "create", *options(settings), "--replication", 9))
    assert said.startswith(f"topic {settings.prefix}.ticks cannot be made: ")
    assert "9" in said


def test_every_topic_of_the_topology_has_its_place() -> None:
    assert {kept.name for kept in layout.LAYOUT} == ALL
    forever = {kept.name for kept in layout.LAYOUT if kept.retention < 0 and not kept.compacted}
    assert forever == {"learner", "control", "models"}
    assert {kept.name for kept in layout.LAYOUT if kept.compacted} == {"snapshots", "summaries"}
    assert [kept.name for kept in layout.LAYOUT if kept.optional] == ["summaries"]


def test_another_prefix_is_another_world(topics: KafkaSettings) -> None:
    longer = msgspec.structs.replace(topics, prefix=f"{topics.prefix}.x")
    with pytest.raises(layout.LayoutError, match="is missing"):
        run(layout.check(longer))


def test_dead_letters_are_shown_with_their_reasons_the_newest_last(topics: KafkaSettings) -> None:
    assert windvane("topics", "dead-letters", *options(topics)).out == ""
    sources = [("main", "Ticks"), ("other", "Control"), ("", "ticks, partition 0, offset 17")]
    raws = [
        to_json(DeadLetter(book=book, source=source, reason=f"why {number}", payload=""))
        for number, (book, source) in enumerate(sources)
    ]
    for raw in (b"garbage", *raws):
        run(write(topics, topics.topic(DEAD_LETTERS), raw))
    shown = windvane("topics", "dead-letters", *options(topics)).out.splitlines()
    assert [line.split("  ", 1)[1] for line in shown] == [
        "main  Ticks: why 0",
        "other  Control: why 1",
        "-  ticks, partition 0, offset 17: why 2",
    ]
    assert re.fullmatch(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d", shown[0].split("  ")[0])
    of_main = windvane("topics", "dead-letters", *options(topics), "--book", "main", "--json").out
    assert of_main.encode().splitlines() == [raws[0], raws[2]]
    last = windvane("topics", "dead-letters", *options(topics), "--last", 1).out
    assert last.endswith("why 2\n")
    assert last.count("\n") == 1
    said = refusal(windvane("topics", "dead-letters", *options(topics), "--last", 0))
    assert said.endswith("--last is 0: give 1 or more")
