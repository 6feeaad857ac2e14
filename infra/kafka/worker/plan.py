"""What a worker is to run: one stage of the topology, its settings, where its states lie, and who trains for it."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from windvane.agents.kernel import this_program
from windvane.agents.naming import REMOTE, each_named
from windvane.agents.program import Program
from windvane.agents.roster import Roster, check_made_here, roster
from windvane.infra.kafka.broker.settings import KafkaSettings, partition_of
from windvane.infra.kafka.broker.signing import guard
from windvane.infra.kafka.broker.snapshots import FolderStore, SnapshotStore, TopicStore
from windvane.infra.kafka.worker.failpoints import Failpoint, failpoint
from windvane.metamodel.base.config import ConfigError
from windvane.streams.checks import Checks
from windvane.streams.stage import Stage, Trainer
from windvane.streams.topology import TOPOLOGY

SAVE_SECONDS = 5.0


class WorkerPlan(NamedTuple):
    """One stage, to be run on as many partitions as the group assigns."""

    name: str  # of the stage's states, and of its group after the prefix
    stage: Stage
    settings: KafkaSettings
    partitions: int
    store: SnapshotStore
    strike: Failpoint
    save_seconds: float = SAVE_SECONDS
    trainer: Trainer | None = None  # of the stage that asks for trainings
    program: Program = this_program()  # stored with the states

    @property
    def group(self) -> str:
        """The consumer group on the broker: its workers share the partitions."""
        return f"{self.settings.prefix}.{self.name}"

    @property
    def layout(self) -> str:
        """What a stored state must agree on, since books move when the number of partitions changes."""
        return f"{self.group} of {self.partitions}"

    def checks(self, partition: int) -> Checks:
        """What a worker on this partition checks of every record: that its book belongs here, and who has signed it."""
        partitions = self.partitions
        return Checks(
            partition=partition,
            owns=lambda book: partition_of(book, partitions) == partition,
            signed=guard(self.settings),
        )


def stages() -> Mapping[str, Stage]:
    """Return the stages of the topology by name."""
    return {stage.name: stage for stage in TOPOLOGY}


def specs(agents: Sequence[str]) -> list[str]:
    """The words that `windvane worker` runs each stage of the topology by, all agents in one worker."""
    return [s.name if s.build_for is None else f"{s.name}:{','.join(agents)}" for s in TOPOLOGY]


def agents_of(text: str, stage: str = "proposals") -> Roster:
    """Agents separated by commas, each once; raises WindvaneError where one is unknown or none is there."""
    words = _words(text)
    if not words:
        raise ConfigError(f"no agent is named: give {stage}:AGENT,AGENT,...")
    return roster(words)


def made_here(text: str) -> tuple[str, ...]:
    """The words of agents that a machine runs a worker for: all but those that write to the topic themselves.

    Raises as `agents_of`, and where none is left.
    """
    agents = agents_of(text)
    here = [named for named in each_named(_words(text)) if agents.bindings[named.id].kind != REMOTE]
    if not here:
        raise ConfigError("all agents that are named are remote: name one that is computed here")
    return tuple(map(str, here))


def _words(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def plan_of(
    spec: str,
    settings: KafkaSettings,
    partitions: int,
    states: Path | None,
    save_seconds: float = SAVE_SECONDS,
) -> WorkerPlan:
    """The plan for `features`, `proposals:AGENT,...`, `ensemble` or `feedback`, with agents as `--agents` takes them.

    states: folder of the stored states, None keeps them on a topic; save_seconds: between two of them. Raises
    ConfigError for what is no stage, WindvaneError for what is no agent.
    """
    word, _, rest = spec.partition(":")
    known = stages()
    if word not in known or (rest and known[word].build_for is None):
        shared = ", ".join(
            f"{name}:AGENT,..." for name, stage in known.items() if stage.build_for is not None
        )
        raise ConfigError(f"the stage is {spec!r}: give {', '.join(known)}, the agents as {shared}")
    stage, name = known[word], word
    if stage.build_for is not None:
        agents = agents_of(rest, word)
        check_made_here(agents.bindings, "a worker computes what its agents want")
        digest = hashlib.sha256(",".join(sorted(agents.ids)).encode()).hexdigest()[:8]
        name = f"{word}.{digest}"
        stage = stage.run_by(agents.ids, agents.bindings)
    strike = failpoint(word)
    store: SnapshotStore = (
        TopicStore(settings, strike) if states is None else FolderStore(states, settings.prefix)
    )
    return WorkerPlan(name, stage, settings, partitions, store, strike, save_seconds)
