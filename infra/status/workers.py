"""Who runs what: the processes that tell of themselves, those that have stopped telling, and what nobody runs."""

from collections.abc import Iterable, Mapping

import msgspec

from windvane.infra.kafka.broker.summaries import SILENT_SECONDS, STOPPED, Summaries, WorkerSummary


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    """One process that runs a stage on some partitions."""

    name: str  # of its group after the prefix
    stage: str
    agents: tuple[str, ...]
    partitions: list[int]
    version: str
    code: str  # digest of the program
    host: str
    pid: int
    listens: str | None  # HOST:PORT of /metrics and /health
    phase: str  # working, or what its worst partition does
    age: float  # s since it told last
    silent: bool  # for longer than a living worker would be
    lag: int  # records that its partitions have not read yet
    troubles: list[str]  # of its partitions


def workers_of(summaries: Summaries, now: float) -> list[Worker]:
    """Every process that is responsible for a partition; those that were stopped, or replaced, are not among them."""
    heads = [told.worker for told in summaries.told.values() if told.worker is not None]
    heads = [head for head in heads if head.phase != STOPPED]
    alive = [head for head in heads if now - head.at <= SILENT_SECONDS]
    kept = [head for head in heads if head in alive or not _replaced(head, alive)]
    processes: dict[tuple[str, str, int], list[WorkerSummary]] = {}
    for head in kept:
        processes.setdefault((head.name, head.host, head.pid), []).append(head)
    return [_worker(heads, now) for _, heads in sorted(processes.items())]


def _replaced(head: WorkerSummary, alive: Iterable[WorkerSummary]) -> bool:
    """Whether others compute now for all agents that a silent worker computed for: its group is no more."""
    others = [one for one in alive if (one.stage, one.partition) == (head.stage, head.partition)]
    return bool(others) and set(head.agents) <= {agent for one in others for agent in one.agents}


def _worker(heads: list[WorkerSummary], now: float) -> Worker:
    newest = max(heads, key=_told)
    age = max(0.0, now - newest.at)
    phases = [head.phase for head in heads]
    return Worker(
        name=newest.name,
        stage=newest.stage,
        agents=newest.agents,
        partitions=sorted(head.partition for head in heads),
        version=newest.version,
        code=newest.code,
        host=newest.host,
        pid=newest.pid,
        listens=newest.listens or None,
        phase=next((phase for phase in phases if phase != "working"), "working"),
        age=age,
        silent=age > SILENT_SECONDS,
        lag=sum(sum(head.lag.values()) for head in heads),
        troubles=[f"partition {head.partition} {head.trouble}" for head in heads if head.trouble],
    )


def _told(head: WorkerSummary) -> float:
    return head.at


def waiting_records(summaries: Summaries, ends: Mapping[tuple[str, int], int]) -> dict[str, int]:
    """By stage how many records lie behind what its workers had read; ends: by topic without prefix, and partition."""
    waiting: dict[str, int] = {}
    for told in summaries.told.values():
        head = told.worker
        for topic, at in {} if head is None else head.positions.items():
            left = max(0, ends.get((topic, head.partition), 0) - at)  # type: ignore[union-attr]
            waiting[head.stage] = waiting.get(head.stage, 0) + left  # type: ignore[union-attr]
    return waiting
