"""Consumer groups: how many workers a stage has, and how many records they have not acknowledged."""

from collections.abc import Mapping
from typing import Any

import msgspec
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from windvane.infra.monitoring.tails import Span


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """The workers that share the partitions of one stage."""

    name: str
    stage: str
    members: int
    lag: int  # records after what was acknowledged; states are stored every few seconds, so some is normal


async def groups(admin: AIOKafkaAdminClient, prefix: str, held: Mapping[TopicPartition, Span]) -> list[Group]:
    """Every group of the prefix."""
    names = sorted(name for name, *_ in await admin.list_consumer_groups() if name.startswith(f"{prefix}."))
    return [
        Group(
            name=name,
            stage=name.removeprefix(f"{prefix}.").partition(".")[0],
            members=await _members(admin, name),
            lag=_lag(await admin.list_consumer_group_offsets(name), held),
        )
        for name in names
    ]


async def _members(admin: AIOKafkaAdminClient, name: str) -> int:
    """Asked of one group at a time: aiokafka 0.14 reads an answer about several wrongly and closes the connection."""
    (answer,) = await admin.describe_consumer_groups([name])
    *_, members = answer.groups[0][:6]
    return len(members)


def _lag(committed: Mapping[TopicPartition, Any], held: Mapping[TopicPartition, Span]) -> int:
    """Records behind, over the topics that the group has acknowledged anything of."""
    topics = {place.topic for place in committed}
    total = 0
    for place, span in held.items():
        if place.topic in topics:
            at = committed.get(place)
            total += max(0, span.stop - max(span.first, at.offset if at is not None else 0))
    return total
