"""A session that was killed goes on to the bit, also where an agent of one's own fails at rows at which it did not."""

import pytest
from msgspec.structs import replace

from moody import Moody
from simulated_book import config, opening, ticks
from windvane.agents.factory import Binding
from windvane.agents.guest import GuestAgent
from windvane.infra.live.resuming import RESULTS, Records, go_on
from windvane.infra.runs.kept import keeping
from windvane.streams.codec import to_packed
from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.events import Decisions, Ticks, cut
from windvane.streams.topology import bound

ROWS, STORED = 900, 650
BARE = replace(ticks(ROWS), bid=None, ask=None, bid_size=None, ask_size=None)
OPENED = opening(
    config(agents=("vol_trend", "m"), kinds=("vol_trend", "class"), closing="timed"),
)


def runner(seen: Records, moods: dict[int, str], snapshot: bytes | None = None) -> EmbeddedRunner:
    by_price = {float(BARE.price[row]): mood for row, mood in moods.items()}
    binding = Binding("class", "3", lambda: GuestAgent("m", lambda: Moody(by_price)), "m")
    keep = keeping(full=False)

    def listen(topic: object, event: object) -> None:
        if keep(topic, event):  # type: ignore[arg-type]
            seen.append((topic, event))  # type: ignore[arg-type]

    return EmbeddedRunner(listen, topology=bound({"m": binding}), snapshot=snapshot)


@pytest.mark.parametrize(("then", "now"), [({700: "raises"}, {}), ({}, {700: "raises"}), ({}, {})])
def test_what_it_said_then_stands(then: dict[int, str], now: dict[int, str]) -> None:
    seen: Records = []
    first = runner(seen, then)
    first.feed([OPENED, cut(BARE, 0, STORED)])
    stored = first.snapshot()
    seen.clear()
    for row in range(STORED, 800, 10):
        first.feed([cut(BARE, row, row + 10)])
    again: Records = []
    second = runner(again, now, stored)
    go_on(second, seen)
    for records in (seen, again):
        assert any(isinstance(event, Decisions) for _, event in records)
    wanted, found = (
        [to_packed(event) for topic, event in records if topic in RESULTS] for records in (seen, again)
    )
    assert found == wanted
    second.feed([cut(BARE, 800, ROWS)])
    rows = [event.last for _, event in again if isinstance(event, Decisions)]
    assert rows[-1] == ROWS - 1
    assert isinstance(seen[0][1], Ticks)
