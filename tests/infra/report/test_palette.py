"""The colours of agents differ for everybody: with full vision, without red cones, and without green ones."""

from itertools import combinations

import numpy as np
import pytest

from windvane.infra.report.palette import CYCLE, DARK

# Machado, Oliveira and Fernandes 2009, severity 1.0, for linear RGB.
SIGHT = {
    "full": np.eye(3),
    "no red": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "no green": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
}
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
WHITE = np.array([0.95047, 1.0, 1.08883])


def lab(code: str, sight: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of #rrggbb as it is seen."""
    s = np.array([int(code[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    linear = np.where(s <= 0.04045, s / 12.92, ((s + 0.055) / 1.055) ** 2.4)
    t = TO_XYZ @ np.clip(sight @ linear, 0, 1) / WHITE
    f = np.where(t > 216 / 24389, np.cbrt(t), (24389 / 27 * t + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def closest(codes: list[str], sight: np.ndarray) -> float:
    return min(float(np.linalg.norm(lab(a, sight) - lab(b, sight))) for a, b in combinations(codes, 2))


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("screen", ["light", "dark"])
def test_no_two_colours_look_alike(sight: str, screen: str) -> None:
    codes = [DARK.get(code, code) if screen == "dark" else code for code in CYCLE]
    assert closest(codes, SIGHT[sight]) > 15.0
    assert closest([*codes, "#2f8f6b", "#6d8f2c"], SIGHT["no red"]) < 15.0  # two greens would be found
