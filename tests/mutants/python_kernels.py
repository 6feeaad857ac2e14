"""A plugin of pytest for kernels that run as Python: their records are read and written by name there too.

Compiled kernels do so with any structured array; numpy alone only where the type of the entries is np.record.
"""

from functools import cache
from typing import Any

import numpy as np

from windvane.metamodel.base import records

_plain = records.dtype


@cache
def _named(kind: type) -> np.dtype[Any]:
    return np.dtype((np.record, _plain(kind)))


records.dtype = _named
