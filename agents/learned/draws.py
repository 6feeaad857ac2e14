"""The state of a random generator as numbers that a checkpoint can hold."""

import numpy as np

from windvane.agents.base import Ints

_WORD = (1 << 64) - 1


def generator(seed: int) -> np.random.Generator:
    """Return the generator of a seed: all that a learner draws comes from one."""
    return np.random.Generator(np.random.PCG64(seed))


def numbers_of(draw: np.random.Generator) -> Ints:
    """Return the state (6,) of a PCG64 generator: two words each of state and increment, and a half-used draw."""
    whole = draw.bit_generator.state
    state, inc = whole["state"]["state"], whole["state"]["inc"]
    words = [state & _WORD, state >> 64, inc & _WORD, inc >> 64, whole["has_uint32"], whole["uinteger"]]
    return np.array(words, np.uint64).view(np.int64)


def set_numbers(draw: np.random.Generator, numbers: Ints) -> None:
    """Let a generator go on from what `numbers_of` returned."""
    low, high, inc_low, inc_high, has, rest = (int(word) for word in numbers.view(np.uint64))
    draw.bit_generator.state = {
        "bit_generator": "PCG64",
        "state": {"state": high << 64 | low, "inc": inc_high << 64 | inc_low},
        "has_uint32": has,
        "uinteger": rest,
    }
