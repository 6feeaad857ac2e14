"""What is asked of a broker about topics: list, make, widen, set; it never makes one by asking for it."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from windvane.infra.kafka.broker.clients import close
from windvane.infra.kafka.broker.settings import ANSWER_SECONDS, KafkaSettings, SettingsError, reachable

_BY_TOPIC = 1  # who set a setting: the topic itself, not the broker's default


class Found(NamedTuple):
    """A topic as it is on the broker."""

    partitions: int
    replication: int  # copies of its first partition
    config: Mapping[str, str]
    own: frozenset[str] = frozenset()  # settings that are the topic's own


class Setup:
    """A connection for as long as an `async with` lasts; what goes wrong is a SettingsError of one sentence."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings

    async def __aenter__(self) -> Self:
        await reachable(self._settings)
        self._admin = AIOKafkaAdminClient(
            **self._settings.client(), request_timeout_ms=int(ANSWER_SECONDS * 1000)
        )
        try:
            await self._admin.start()
        except BaseException:
            await self._admin.close()
            raise
        return self

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        await self._admin.close()
        if isinstance(error, KafkaError | TimeoutError):
            said = getattr(error, "description", "") or str(error) or "no answer in time"
            raise SettingsError(
                f"the broker at {self._settings.bootstrap} could not do it: {said.rstrip('.')}"
            ) from error

    async def cluster(self) -> str:
        """The id that a cluster keeps for life."""
        return str((await self._admin.describe_cluster())["cluster_id"])

    async def topics(self, names: Iterable[str]) -> dict[str, Found]:
        """Those of the names that are there; all topics are listed, since to ask for one may make it."""
        wanted = set(names)
        listed = {
            t["topic"]: t["partitions"] for t in await self._admin.describe_topics() if t["topic"] in wanted
        }
        configs = await self._configs(sorted(listed))
        return {
            name: Found(len(parts), len(parts[0]["replicas"]), *configs[name])
            for name, parts in listed.items()
            if parts
        }

    async def _configs(self, names: Sequence[str]) -> dict[str, tuple[dict[str, str], frozenset[str]]]:
        """Of every topic its settings, and which of them are its own."""
        if not names:
            return {}
        asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        found: dict[str, tuple[dict[str, str], frozenset[str]]] = {}
        for response in await self._admin.describe_configs(asked):
            for code, message, _, name, entries in response.resources:
                _raise_for(code, message, f"the settings of {name} cannot be read")
                values = {entry[0]: entry[1] for entry in entries}
                found[name] = (values, frozenset(e[0] for e in entries if e[3] == _BY_TOPIC))
        return found

    async def create(self, name: str, partitions: int, replication: int, config: Mapping[str, str]) -> None:
        """Make a topic; one that another has just made is none of our business."""
        topic = NewTopic(name, partitions, replication, topic_configs=dict(config))
        response = await self._admin.create_topics([topic])
        for error in response.topic_errors:
            if error[1] != TopicAlreadyExistsError.errno:
                _raise_for(error[1], error[2] if len(error) > 2 else "", f"topic {name} cannot be made")

    async def widen(self, name: str, partitions: int) -> None:
        """Give a topic more partitions."""
        await self._admin.create_partitions({name: NewPartitions(partitions)})

    async def set(self, name: str, there: Found, config: Mapping[str, str], which: Iterable[str]) -> None:
        """Set some of a topic's settings and keep what else it has of its own."""
        values = {k: v for k, v in there.config.items() if k in there.own} | {k: config[k] for k in which}
        for response in await self._admin.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, name, values)]
        ):
            for code, message, *_ in response.resources:
                _raise_for(code, message, f"the settings of {name} cannot be changed")

    async def ends(self, found: Mapping[str, Found]) -> dict[str, int]:
        """Of every topic the sum of its partitions' end offsets: 0 where nothing was ever written."""
        return {name: end for name, (_, end) in (await self._offsets(found)).items()}

    async def records(self, found: Mapping[str, Found]) -> dict[str, int]:
        """Of every topic how many offsets it holds."""
        return {name: end - start for name, (start, end) in (await self._offsets(found)).items()}

    async def _offsets(self, found: Mapping[str, Found]) -> dict[str, tuple[int, int]]:
        places = [TopicPartition(name, p) for name, there in found.items() for p in range(there.partitions)]
        if not places:
            return {}
        reader = AIOKafkaConsumer(**self._settings.client(), enable_auto_commit=False)
        await reader.start()
        try:
            reader.assign(places)
            starts = await reader.beginning_offsets(places)
            ends = await reader.end_offsets(places)
        finally:
            await close(reader)
        sums = dict.fromkeys(found, (0, 0))
        for place in places:
            start, end = sums[place.topic]
            sums[place.topic] = (start + starts[place], end + ends[place])
        return sums

    async def settled(self, partitions: Mapping[str, int]) -> None:
        """Wait until the broker shows topics with so many partitions and a leader each."""
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
        said = (message or getattr(for_code(code), "description", "") or f"error {code}").strip().rstrip(".")
        raise SettingsError(f"{sentence}: {said}")
