"""What is asked of a broker about topics: to list, make, widen and set them; to ask for one never makes it."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from windvane.infra.kafka.broker.clients import close, connect
from windvane.infra.kafka.broker.settings import ANSWER_SECONDS, KafkaSettings, SettingsError, reachable

_BY_TOPIC = 1  # Kafka's code of a setting that was made for the topic, and is no default of the broker


class TopicState(NamedTuple):
    """A topic as it is on the broker."""

    partitions: int
    replication: int  # copies of its first partition
    config: Mapping[str, str]
    own: frozenset[str] = frozenset()  # settings that are the topic's own


class Setup:
    """A connection for as long as an `async with` lasts; every error of Kafka leaves it as a SettingsError."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings

    async def __aenter__(self) -> Self:
        await reachable(self._settings)
        self._admin = AIOKafkaAdminClient(
            **self._settings.client(), request_timeout_ms=int(ANSWER_SECONDS * 1000)
        )
        try:
            await connect(self._admin)
        except BaseException:
            await self._admin.close()
            raise
        return self

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        await self._admin.close()
        if isinstance(error, KafkaError | TimeoutError):
            reason = getattr(error, "description", "") or str(error) or "no answer in time"
            raise SettingsError(
                f"the broker at {self._settings.bootstrap} could not do it: {reason.rstrip('.')}"
            ) from error

    async def cluster(self) -> str:
        """The id of the cluster, which never changes."""
        return str((await self._admin.describe_cluster())["cluster_id"])

    async def topics(self, names: Iterable[str]) -> dict[str, TopicState]:
        """The topics of these names that exist, by name; all are listed for it, since to ask for one may make it."""
        wanted = set(names)
        listed = {
            t["topic"]: t["partitions"] for t in await self._admin.describe_topics() if t["topic"] in wanted
        }
        configs = await self._configs(sorted(listed))
        return {
            name: TopicState(len(parts), len(parts[0]["replicas"]), *configs[name])
            for name, parts in listed.items()
            if parts
        }

    async def _configs(self, names: Sequence[str]) -> dict[str, tuple[dict[str, str], frozenset[str]]]:
        """By topic its settings, and the names of those that are its own and no defaults."""
        if not names:
            return {}
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        configs: dict[str, tuple[dict[str, str], frozenset[str]]] = {}
        for response in await self._admin.describe_configs(resources):
            for code, message, _, name, entries in response.resources:
                _raise_for(code, message, f"the settings of {name} cannot be read")
                values = {entry[0]: entry[1] for entry in entries}
                configs[name] = (values, frozenset(e[0] for e in entries if e[3] == _BY_TOPIC))
        return configs

    async def create(self, name: str, partitions: int, replication: int, config: Mapping[str, str]) -> None:
        """Make a topic; where another has just made it, nothing is done."""
        topic = NewTopic(name, partitions, replication, topic_configs=dict(config))
        response = await self._admin.create_topics([topic])
        for error in response.topic_errors:
            if error[1] != TopicAlreadyExistsError.errno:
                _raise_for(error[1], error[2] if len(error) > 2 else "", f"topic {name} cannot be made")

    async def widen(self, name: str, partitions: int) -> None:
        """Raise the number of partitions of a topic."""
        await self._admin.create_partitions({name: NewPartitions(partitions)})

    async def set(
        self, name: str, state: TopicState, config: Mapping[str, str], which: Iterable[str]
    ) -> None:
        """Set those settings of a topic that `which` names, and keep what else it has of its own."""
        values = {k: v for k, v in state.config.items() if k in state.own} | {k: config[k] for k in which}
        for response in await self._admin.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, name, values)]
        ):
            for code, message, *_ in response.resources:
                _raise_for(code, message, f"the settings of {name} cannot be changed")

    async def ends(self, states: Mapping[str, TopicState]) -> dict[str, int]:
        """By topic the sum of its partitions' end offsets: 0 where nothing was ever written."""
        return {name: end for name, (_, end) in (await self._offsets(states)).items()}

    async def records(self, states: Mapping[str, TopicState]) -> dict[str, int]:
        """By topic how many offsets it holds, those of deleted records not counted."""
        return {name: end - start for name, (start, end) in (await self._offsets(states)).items()}

    async def _offsets(self, states: Mapping[str, TopicState]) -> dict[str, tuple[int, int]]:
        places = [TopicPartition(name, p) for name, state in states.items() for p in range(state.partitions)]
        if not places:
            return {}
        reader = AIOKafkaConsumer(**self._settings.client(), enable_auto_commit=False)
        await connect(reader)
        try:
            reader.assign(places)
            starts = await reader.beginning_offsets(places)
            ends = await reader.end_offsets(places)
        finally:
            await close(reader)
        sums = dict.fromkeys(states, (0, 0))
        for place in places:
            start, end = sums[place.topic]
            sums[place.topic] = (start + starts[place], end + ends[place])
        return sums

    async def settled(self, partitions: Mapping[str, int]) -> None:
        """Wait until these topics have so many partitions, each with a leader; raises TimeoutError if they do not."""
        async with asyncio.timeout(ANSWER_SECONDS):
            while True:
                shown = {
                    t["topic"]: sum(p["leader"] >= 0 for p in t["partitions"])
                    for t in await self._admin.describe_topics()
                }
                if all(shown.get(name) == number for name, number in partitions.items()):
                    return
                await asyncio.sleep(0.05)


def _raise_for(code: int, message: str | None, sentence: str) -> None:
    if code:
        reason = (
            (message or getattr(for_code(code), "description", "") or f"error {code}").strip().rstrip(".")
        )
        raise SettingsError(f"{sentence}: {reason}")
