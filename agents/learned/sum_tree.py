"""A sum tree: draws one of many places in proportion to its priority, in logarithmic time.

The tree is an array (2 S,) for S places, a power of two: the priority of place i stands at S + i, every other node i
holds the sum of nodes 2 i and 2 i + 1, and node 1 the sum of all.
"""

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.agents.kernel import kernel


def new_tree(places: int) -> Floats:
    """A tree for at least so many places, all with priority 0."""
    return np.zeros(2 * (1 << max(places - 1, 0).bit_length()))


@kernel
def set_priorities(tree: Floats, places: Ints, priorities: Floats) -> None:
    """Give places (B,) their priorities (B,), one after the other."""
    half = tree.shape[0] // 2
    for b in range(places.shape[0]):
        node = half + places[b]
        tree[node] = priorities[b]
        node //= 2
        while node >= 1:
            tree[node] = tree[2 * node] + tree[2 * node + 1]
            node //= 2


@kernel
def find(tree: Floats, heights: Floats, places: Ints) -> None:
    """Write into places (B,) where the running sum of priorities passes heights (B,), each from 0 to below the sum."""
    half = tree.shape[0] // 2
    for b in range(heights.shape[0]):
        node, left = 1, heights[b]
        while node < half:
            node *= 2
            if left >= tree[node] and tree[node + 1] > 0.0:
                left -= tree[node]
                node += 1
        places[b] = node - half
