"""Breakout: in on a new extreme of the long channel, out on the opposite extreme of the short one."""

import math

from windvane.agents.base import Floats, Ints
from windvane.agents.kernel import kernel
from windvane.agents.rules.rule import COUNT, HEADER, RuleAgent, observe, repeat, settle

ENTRY, EXIT = 96, 48
WARMUP = ENTRY

# A deque of a window keeps its head, its length, then the ring of ticks and the ring of values, one longer
# than the window since a new value may join a full one.
_DEQUE_ENTRY, _DEQUE_EXIT = 2 + 2 * (ENTRY + 1), 2 + 2 * (EXIT + 1)
SIDE = HEADER
HIGH = SIDE + 1
LOW = HIGH + _DEQUE_ENTRY
EXIT_HIGH = LOW + _DEQUE_ENTRY
EXIT_LOW = EXIT_HIGH + _DEQUE_EXIT
SIZE = EXIT_LOW + _DEQUE_EXIT


@kernel
def _extreme(memory: Floats, base: int, window: int, value: float, tick: float) -> float:
    """Largest of the `window` values before this one, -inf if none; then it joins the monotonic deque."""
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
def _step(
    price: Floats, good: Ints, memory: Floats, target: Floats, action: Ints, confidence: Floats
) -> None:
    for i in range(price.shape[0]):
        if good[i] == 0:
            repeat(memory, i, target, action, confidence)
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
        belief = 0.0
        if side != 0.0 and high > low:
            belief = side * (2.0 * (p - low) / (high - low) - 1.0)
        settle(memory, side, belief, WARMUP, i, target, action, confidence)


class DonchianBreakout(RuleAgent):
    """+-1 from a price beyond the last 96 until one beyond, on the other side, the last 48; else 0.

    Confidence is how far towards its own side of the 96-tick channel the price stands, 0 from the middle on.
    Donchian 1960; the in and out channels are those of the "turtles" (Faith 2007).
    """

    name = "donchian_breakout"
    warmup = WARMUP
    size = SIZE
    step = staticmethod(_step)
