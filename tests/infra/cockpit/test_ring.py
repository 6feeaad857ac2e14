"""Ring: the newest rows of all that were appended, in order, whatever the sizes of batches."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from windvane.infra.cockpit.ring import Ring


@given(st.integers(1, 700), st.lists(st.integers(1, 900), max_size=12))
def test_a_ring_holds_the_newest_rows_in_order(most: int, batches: list[int]) -> None:
    ring, every = Ring(most, {"a": (np.int64, 0), "m": (np.float32, 2)}), np.arange(0)
    for size in batches:
        new = np.arange(len(every), len(every) + size)
        every = np.concatenate((every, new))
        ring.append(a=new, m=np.stack((new, -new), axis=1))
        kept = every[-most:]
        assert ring["a"].tolist() == kept.tolist()
        assert ring["m"].tolist() == np.stack((kept, -kept), axis=1).astype(np.float32).tolist()
    assert ring.total == len(every)
    assert len(ring) == min(most, len(every))
