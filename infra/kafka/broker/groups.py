"""Consumer groups: how many workers a stage has, which programs they run, and how far they are behind."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment

from windvane.agents.program import Program
from windvane.infra.kafka.broker.tails import Span

_CLIENT_ID = re.compile(r"windvane-(.+)-([0-9a-f]{16})")


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """The workers that share the partitions of one stage: their number, their programs, and their lag in records."""

    name: str
    stage: str
    members: int
    spares: int  # those of them that no partition was left for
    programs: list[str]  # versions and code digests of those members, each once
    lag: int  # records after what was acknowledged; states are stored every few seconds, so some is normal


async def groups(
    admin: AIOKafkaAdminClient, prefix: str, spans: Mapping[TopicPartition, Span]
) -> list[Group]:
    """Every group of the prefix that has members; spans: what each partition holds."""
    names = sorted(name for name, *_ in await admin.list_consumer_groups() if name.startswith(f"{prefix}."))
    answer = []
    for name in names:
        members = await _members(admin, name)
        if not members:
            continue  # it is no more: what it once acknowledged says nothing
        answer.append(
            Group(
                name=name,
                stage=name.removeprefix(f"{prefix}.").partition(".")[0],
                members=len(members),
                spares=sum(not _assigned(member) for member in members),
                programs=sorted({program for member in members for program in _programs(member)}),
                lag=_lag(await admin.list_consumer_group_offsets(name), spans),
            )
        )
    return answer


def client_id(program: Program) -> str:
    """The name of a worker as a member of its group, from which `groups` reads which program it runs."""
    return f"windvane-{program.version}-{program.code}"


def _programs(member: Sequence[Any]) -> Iterator[str]:
    for field in member:
        name = _CLIENT_ID.fullmatch(field) if isinstance(field, str) else None
        if name is not None:
            yield f"{name[1]} (code {name[2]})"


async def _members(admin: AIOKafkaAdminClient, name: str) -> Sequence[Sequence[Any]]:
    """The members of a group, asked for one at a time: aiokafka 0.14 misreads an answer about several groups."""
    (answer,) = await admin.describe_consumer_groups([name])
    *_, members = answer.groups[0][:6]
    return list(members)


def _assigned(member: Sequence[Any]) -> bool:
    """Whether a member has a partition; its last field is the assignment in Kafka's encoding."""
    raw = member[-1]
    if not isinstance(raw, bytes) or not raw:
        return False
    return any(partitions for _, partitions in ConsumerProtocolMemberAssignment.decode(raw).assignment)


def _lag(committed: Mapping[TopicPartition, Any], spans: Mapping[TopicPartition, Span]) -> int:
    """How many records the group is behind, on the topics that it has committed an offset of."""
    topics = {place.topic for place in committed}
    total = 0
    for place, span in spans.items():
        if place.topic in topics:
            at = committed.get(place)
            total += max(0, span.stop - max(span.first, at.offset if at is not None else 0))
    return total
