"""How features are scaled before a model sees them: (x - centre) / spread, clipped at 5.

The constants come from randomised simulated markets and are frozen: `windvane train scaler` makes them again.
"""

import numpy as np

from windvane.agents.base import Floats
from windvane.agents.kernel import kernel
from windvane.metamodel.features.extractor import NAMES
from windvane.metamodel.features.scaler_constants import CENTRE, SPREAD

CLIP = 5.0


class FeatureScaler:
    """Centre and spread of every feature, both (50,)."""

    def __init__(self, centre: Floats | None = None, spread: Floats | None = None) -> None:
        self.centre = np.array([CENTRE[name] for name in NAMES]) if centre is None else centre
        self.spread = np.array([SPREAD[name] for name in NAMES]) if spread is None else spread

    @classmethod
    def fit(cls, x: Floats) -> "FeatureScaler":
        """Mean and standard deviation of the columns of x (n, 50); a constant column keeps spread 1."""
        spread = x.std(axis=0)
        return cls(x.mean(axis=0), np.where(spread > 1e-9, spread, 1.0))

    def scale(self, x: Floats) -> Floats:
        """Scaled copies of rows x (n, 50)."""
        return np.clip((x - self.centre) / self.spread, -CLIP, CLIP)


@kernel
def scale_row(x: Floats, centre: Floats, spread: Floats, z: Floats) -> None:
    """Scaled features of one row x (F,) into z (F,)."""
    for i in range(x.shape[0]):
        z[i] = min(max((x[i] - centre[i]) / spread[i], -CLIP), CLIP)
