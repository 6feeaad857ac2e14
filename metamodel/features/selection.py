"""Which features the contextual member and the predictor read, by how many they are set to read.

1 to 50: the first so many of `windvane.metamodel.features.extractor.NAMES`, whose order is that of use (the first 21
suffice).
51 to 75: all fifty, and the same again on a longer horizon: EWMAs (span 512 good rows) of the first one to 25.
"""

from windvane.agents.base import Floats
from windvane.agents.kernel import inlined
from windvane.metamodel.features.extractor import NAMES

ALL = len(NAMES)
SLOW = 25
"""So many features are there on a longer horizon, too."""

MOST = ALL + SLOW

_EVERY = 4  # good rows between two readings
_RATE = 2.0 / (512.0 / _EVERY + 1.0)


def names(count: int) -> tuple[str, ...]:
    """Names of the features that are read where `count` of them are."""
    return (*NAMES[:count], *(f"{name}_calm" for name in NAMES[: max(0, count - ALL)]))


@inlined
def select(z: Floats, calm: Floats, chosen: Floats) -> None:
    """Fill `chosen` (F,) from scaled features z (50,), and update the slow averages calm (25,) that it may read."""
    all_of_them = z.shape[0]
    for i in range(chosen.shape[0]):
        if i < all_of_them:
            chosen[i] = z[i]
        else:
            k = i - all_of_them
            calm[k] += _RATE * (z[k] - calm[k])
            chosen[i] = calm[k]
