"""Three machines of the runbook: each runs every stage with nothing on its disk, and one of them fails."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from plain_books import BOOKS, ROWS, decided, orders_are_right, send
from running import PARTITIONS, Process, records

from windvane.agents.kernel import cache_folder
from windvane.infra.kafka.broker.layout import SNAPSHOTS
from windvane.infra.kafka.broker.settings import KafkaSettings
from windvane.infra.runs.warmup import warm_up
from windvane.streams.topics import DEAD_LETTERS


class Machine:
    """`windvane up --state topic` in a home of its own; of kernels alone the machines share what is compiled."""

    def __init__(self, folder: Path, settings: KafkaSettings) -> None:
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        where = ("--bootstrap", settings.bootstrap, "--prefix", settings.prefix, "--state", "topic")
        environment = {"HOME": str(self.home), "WINDVANE_CACHE": str(cache_folder().parent)}
        environment |= {
            "XDG_STATE_HOME": str(self.home / "state"),
            "XDG_CACHE_HOME": str(self.home / "cache"),
        }
        self.up = Process(folder / "log", "up", *where, environment=environment)

    def assigned(self) -> dict[str, set[int]]:
        """By stage the partitions that this machine's worker has."""
        return {e["stage"]: set(e["partitions"]) for e in self.up.events("partitions assigned")}

    def fail(self) -> None:
        """Die as a machine does that loses power: no process of it does anything more."""
        os.kill(self.up.pid, signal.SIGSTOP)  # it would start again what is killed
        children = Path(f"/proc/{self.up.pid}/task/{self.up.pid}/children").read_text().split()
        assert len(children) == 4
        for pid in map(int, children):
            os.kill(pid, signal.SIGKILL)
        os.kill(self.up.pid, signal.SIGKILL)
        assert self.up.ended() == -signal.SIGKILL


@pytest.fixture
def machines(topics: KafkaSettings, tmp_path: Path) -> Iterator[list[Machine]]:
    """Three of them, started one after the other as the runbook says."""
    warm_up()
    running = [Machine(tmp_path / f"machine{number}", topics) for number in range(3)]
    yield running
    for machine in running:
        machine.up.stop()


def shared(machines: list[Machine]) -> bool:
    """Whether each partition of each stage is on one of the machines."""
    shares = [machine.assigned() for machine in machines]
    stages = {stage for share in shares for stage in share}
    return len(stages) == 4 and all(
        sorted(p for share in shares for p in share.get(stage, ())) == list(range(PARTITIONS))
        for stage in stages
    )


@pytest.mark.slow  # twelve processes start at once, which others feel for a minute
def test_two_of_three_machines_go_on_where_the_third_has_failed(
    topics: KafkaSettings, machines: list[Machine]
) -> None:
    first = machines[0]
    first.up.until("shares of all", lambda: shared(machines), seconds=120)

    async def run() -> None:
        await send(topics, BOOKS, 0, 400)
        while not await decided(topics, BOOKS, 400):
            await asyncio.sleep(0.5)
        while not await records(topics, SNAPSHOTS):
            await asyncio.sleep(0.5)
        await asyncio.to_thread(machines[1].fail)
        await send(topics, BOOKS, 400, ROWS)
        while not await decided(topics, BOOKS, ROWS):
            await asyncio.sleep(0.5)
        await orders_are_right(topics, BOOKS)

    asyncio.run(asyncio.wait_for(run(), 150))
    rest = [first, machines[2]]
    first.up.until("its partitions on the others", lambda: shared(rest))
    assert not asyncio.run(records(topics, DEAD_LETTERS))
    for machine in machines:
        assert not [path for path in machine.home.rglob("*") if path.is_file()], "nothing is kept on its disk"
