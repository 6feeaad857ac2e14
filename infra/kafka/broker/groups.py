"""Consumer groups: how many workers a stage has, and how many records they have not acknowledged."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from windvane.agents.program import Program
from windvane.infra.kafka.broker.tails import Span

_CLIENT_ID = re.compile(r"windvane-(.+)-([0-9a-f]{16})")


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """The workers that share the partitions of one stage."""

    name: str
    stage: str
    members: int
    programs: list[str]  # versions and code digests of those members, each once
    lag: int  # records after what was acknowledged; states are stored every few seconds, so some is normal


async def groups(admin: AIOKafkaAdminClient, prefix: str, held: Mapping[TopicPartition, Span]) -> list[Group]:
    """Every group of the prefix."""
    names = sorted(name for name, *_ in await admin.list_consumer_groups() if name.startswith(f"{prefix}."))
    found = []
    for name in names:
        members = await _members(admin, name)
        found.append(
            Group(
                name=name,
                stage=name.removeprefix(f"{prefix}.").partition(".")[0],
                members=len(members),
                programs=sorted({program for member in members for program in _programs(member)}),
                lag=_lag(await admin.list_consumer_group_offsets(name), held),
            )
        )
    return found


def client_id(program: Program) -> str:
    """The name under which a worker's member of a group tells which program it is."""
    return f"windvane-{program.version}-{program.code}"


def _programs(member: Sequence[Any]) -> Iterator[str]:
    for field in member:
        told = _CLIENT_ID.fullmatch(field) if isinstance(field, str) else None
        if told is not None:
            yield f"{told[1]} (code {told[2]})"


async def _members(admin: AIOKafkaAdminClient, name: str) -> Sequence[Sequence[Any]]:
    """Asked of one group at a time: aiokafka 0.14 reads an answer about several wrongly and closes the connection."""
    (answer,) = await admin.describe_consumer_groups([name])
    *_, members = answer.groups[0][:6]
    return list(members)


def _lag(committed: Mapping[TopicPartition, Any], held: Mapping[TopicPartition, Span]) -> int:
    """Records behind, over the topics that the group has acknowledged anything of."""
    topics = {place.topic for place in committed}
    total = 0
    for place, span in held.items():
        if place.topic in topics:
            at = committed.get(place)
            total += max(0, span.stop - max(span.first, at.offset if at is not None else 0))
    return total
