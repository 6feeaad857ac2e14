"""FeatureScaler: scales features before a model reads them, as (x - centre) / spread, clipped at 5.

The constants come from randomised simulated markets and are frozen: `windvane train scaler` makes them again.
"""

import numpy as np

from windvane.agents.base import Floats
from windvane.agents.kernel import kernel
from windvane.metamodel.features.extractor import NAMES
from windvane.metamodel.features.scaler_constants import CENTRE, SPREAD

CLIP = 5.0


class FeatureScaler:
    """Centre and spread of every feature, both (50,); by default the shipped constants."""

    def __init__(self, centre: Floats | None = None, spread: Floats | None = None) -> None:
        self.centre = np.array([CENTRE[name] for name in NAMES]) if centre is None else centre
        self.spread = np.array([SPREAD[name] for name in NAMES]) if spread is None else spread

    @classmethod
    def fit(cls, x: Floats) -> "FeatureScaler":
        """A scaler of the means and standard deviations of x (n, 50); the spread of a constant column is 1."""
        spread = x.std(axis=0)
        return cls(x.mean(axis=0), np.where(spread > 1e-9, spread, 1.0))

    def scale(self, x: Floats) -> Floats:
        """Return rows x (n, 50) scaled and clipped at 5, as a new array."""
        return np.clip((x - self.centre) / self.spread, -CLIP, CLIP)


@kernel
def scale_row(x: Floats, centre: Floats, spread: Floats, z: Floats) -> None:
    """Write the scaled features of one row x (F,) into z (F,); centre and spread (F,)."""
    for i in range(x.shape[0]):
        z[i] = min(max((x[i] - centre[i]) / spread[i], -CLIP), CLIP)
