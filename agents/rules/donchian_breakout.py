"""Breakout: enter on a new extreme of a long channel, leave on the opposite extreme of a short one."""

import math

from windvane.agents.base import Floats, Ints
from windvane.agents.kernel import kernel
from windvane.agents.rules.rule import COUNT, HEADER, RuleAgent, observe, repeat, settle

ENTRY, EXIT = 96, 48
WARMUP = ENTRY

# The deque of a window is its head, its length, a ring of tick numbers and a ring of values. The rings are one longer
# than the window, since a new value may join a full one.
_DEQUE_ENTRY, _DEQUE_EXIT = 2 + 2 * (ENTRY + 1), 2 + 2 * (EXIT + 1)
SIDE = HEADER
HIGH = SIDE + 1
LOW = HIGH + _DEQUE_ENTRY
EXIT_HIGH = LOW + _DEQUE_ENTRY
EXIT_LOW = EXIT_HIGH + _DEQUE_EXIT
SIZE = EXIT_LOW + _DEQUE_EXIT


@kernel
def _extreme(memory: Floats, base: int, window: int, value: float, tick: float) -> float:
    """Return the largest of the `window` values before this one (-inf if none), then add this one.

    The deque lies in `memory` from cell `base` on and falls from head to tail, so its head is the largest value.
    """
    room = window + 1
    head = int(memory[base])
    length = int(memory[base + 1])
    ticks = base + 2
    values = ticks + room
    if (
        length > 0 and memory[ticks + head] < tick - window
    ):  # one tick passed, so at most one value is too old
        head = (head + 1) % room
        length -= 1
    largest = memory[values + head] if length > 0 else -math.inf
    while length > 0 and memory[values + (head + length - 1) % room] <= value:
        length -= 1
    tail = (head + length) % room
    memory[ticks + tail] = tick
    memory[values + tail] = value
    memory[base] = head
    memory[base + 1] = length + 1
    return largest


@kernel
def _step(price: Floats, good: Ints, memory: Floats, target: Floats, action: Ints) -> None:
    for i in range(price.shape[0]):
        if good[i] == 0:
            repeat(memory, i, target, action)
            continue
        p = price[i]
        observe(memory, p)
        tick = memory[COUNT]
        high = _extreme(memory, HIGH, ENTRY, p, tick)
        low = -_extreme(memory, LOW, ENTRY, -p, tick)
        exit_high = _extreme(memory, EXIT_HIGH, EXIT, p, tick)
        exit_low = -_extreme(memory, EXIT_LOW, EXIT, -p, tick)
        side = memory[SIDE]
        if tick <= ENTRY:
            side = 0.0
        elif p > high:
            side = 1.0
        elif p < low:
            side = -1.0
        elif (side > 0.0 and p < exit_low) or (side < 0.0 and p > exit_high):
            side = 0.0
        memory[SIDE] = side
        settle(memory, side, WARMUP, i, target, action)


class DonchianBreakout(RuleAgent):
    """Proposes 1 after a price above the highest of the last 96, until one below the lowest of the last 48.

    It proposes -1 the other way round, and 0 otherwise.
    Donchian 1960; a long channel to enter and a short one to leave are those of the "turtles" (Faith 2007).
    """

    name = "donchian_breakout"
    warmup = WARMUP
    size = SIZE
    step = staticmethod(_step)
