"""The offsets that a worker tells its group hold up nothing, since nobody goes on from them."""

import asyncio
import time

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError

from windvane.infra.kafka.worker import plain

PLACE = TopicPartition("ticks", 0)


class Member:
    """A member of a group whose coordinator refuses, or never answers."""

    def __init__(self, *, refuses: bool) -> None:
        self._refuses = refuses
        self.asked: list[dict[TopicPartition, int]] = []

    def assignment(self) -> set[TopicPartition]:
        return {PLACE}

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        self.asked.append(offsets)
        if self._refuses:
            raise CommitFailedError("the group has moved on")
        await asyncio.Event().wait()


@pytest.mark.parametrize("refuses", [True, False])
def test_a_coordinator_that_does_not_take_offsets_holds_up_no_worker(
    monkeypatch: pytest.MonkeyPatch, refuses: bool
) -> None:
    monkeypatch.setattr(plain, "_COMMIT_MOST_SECONDS", 0.05)
    member, began = Member(refuses=refuses), time.monotonic()
    asyncio.run(plain._commit(member, {PLACE: 7, TopicPartition("ticks", 1): 9}))
    assert member.asked == [{PLACE: 7}]
    assert time.monotonic() - began < 5.0
