"""Calibrates the confidence of agents: fits how probable it is that a proposal, held, earns more than it costs.

`windvane.agents.confidence` has the model. Its weights are fitted on one set of markets, and its log odds then scaled
on others (Platt 1999, "Probabilistic outputs for support vector machines"), since a fit is too sure of what it was
fitted on.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np

from windvane.agents.base import Floats
from windvane.agents.confidence import HORIZON, Calibration
from windvane.agents.errors import WindvaneError
from windvane.metamodel.features.columns import NAMES, Column
from windvane.metamodel.features.scaler import FeatureScaler

SIDED = (
    Column.TREND_8,
    Column.TREND_32,
    Column.TREND_128,
    Column.TREND_512,
    Column.RANGE_POSITION_96,
    Column.RANGE_SKEW_480,
    Column.JUMP_SIGN_128,
    Column.SKEW_128,
)
"""Features that point somewhere: what they are worth depends on the side of the target."""

PLAIN = (Column.VOL_128_SLOW, Column.VARIANCE_RATIO_32, Column.RANGE_480, Column.VOLUME_96_SLOW)
"""Features that point nowhere. Both were chosen on seeds 2000 to 2015: more of the fifty gain next to nothing."""

EVERY = 8
"""Every so many rows are fitted on, since neighbours share most of what comes of them."""

LEAST = 200
"""Fewest proposals that a model is fitted, or scaled, on."""


class Judged(NamedTuple):
    """m proposals, and whether they paid."""

    z: Floats  # (m, F) features in spreads, those that point somewhere times the target's side
    paid: Floats  # (m,) 1 or 0


def gains(mid: Floats, target: Floats, cost: Floats) -> Floats:
    """Return what the targets of n consecutive good rows earn if held, after their costs; the last 32 are left out.

    mid, target: (n,); cost: (n,) of a unit traded at each row, share of price. Log returns, units of capital.
    """
    moved = np.log(mid[HORIZON:] / mid[:-HORIZON])
    changed = np.abs(np.diff(target, prepend=0.0))
    return (target[:-HORIZON] * moved) - (changed * cost)[:-HORIZON]


def judged(x: Floats, mid: Floats, target: Floats, cost: Floats) -> Judged:
    """Return every eighth proposal of an agent in a market with what came of it; x: (n, 50), the others as in `gains`.

    Rows in which it wants nothing are left out.
    """
    gain = gains(mid, target, cost)[::EVERY] if len(mid) > HORIZON else np.zeros(0)
    rows = EVERY * np.flatnonzero(target[::EVERY][: len(gain)] != 0.0)
    z = np.array(x[rows][:, (*SIDED, *PLAIN)], np.float64) / _spread()
    z[:, : len(SIDED)] *= np.sign(target[rows])[:, None]
    return Judged(z, (gain[rows // EVERY] > 0.0).astype(np.float64))


def joined(parts: Sequence[Judged]) -> Judged:
    """Return the proposals of several markets as one."""
    return Judged(np.concatenate([part.z for part in parts]), np.concatenate([part.paid for part in parts]))


def calibrated(train: Judged, validation: Judged, cost: float) -> Calibration | None:
    """Fit the weights on the proposals of `train`, and scale them on those of `validation`; needs scikit-learn.

    cost: of a unit traded, share of price, as agents are to assume it. None where one of the two has fewer than 200
    proposals, or all of them came to the same.
    """
    if any(len(part.paid) < LEAST or part.paid.min() == part.paid.max() for part in (train, validation)):
        return None
    model = _fitted(train.z, train.paid, strength=EVERY / HORIZON)
    odds = model.decision_function(validation.z)
    scaling = _fitted(odds[:, None], validation.paid, strength=1e6)
    slope = max(float(scaling.coef_[0, 0]), 0.0)  # what foretold the opposite there foretells nothing
    offset = float(scaling.intercept_[0]) if slope > 0.0 else _log_odds(float(validation.paid.mean()))
    weights = slope * model.coef_[0] / _spread()
    pairs = [(int(column), _rounded(w)) for column, w in zip((*SIDED, *PLAIN), weights, strict=True)]
    return Calibration(
        sided=tuple(pairs[: len(SIDED)]),
        plain=tuple(pairs[len(SIDED) :]),
        intercept=_rounded(offset + slope * float(model.intercept_[0])),
        base=_rounded(float(validation.paid.mean())),
        cost=_rounded(cost),
    )


def check_installed() -> None:
    """Raise WindvaneError where scikit-learn, by which `calibrated` fits, is missing."""
    if find_spec("sklearn") is None:
        raise WindvaneError("confidence is calibrated by scikit-learn: install windvane[train]")


def calibration_source(calibrations: dict[str, Calibration]) -> str:
    """Return the source of the Python module in which the package holds the calibrations of its rules."""

    def pairs(name: str, weights: tuple[tuple[int, float], ...]) -> str:
        lines = "".join(
            f"            ({column}, {weight}),  # {NAMES[column]}\n" for column, weight in weights
        )
        return f"        {name}=(\n{lines}        ),\n"

    entries = "".join(
        f'    "{name}": Calibration(\n{pairs("sided", one.sided)}{pairs("plain", one.plain)}'
        f"        intercept={one.intercept},\n        base={one.base},\n        cost={one.cost},\n    ),\n"
        for name, one in calibrations.items()
    )
    return (
        '"""When a proposal of a rule pays, fitted on SIMULATED markets; made by `windvane train confidence`."""\n\n'
        "from windvane.agents.confidence import Calibration\n\n"
        f"CALIBRATIONS: dict[str, Calibration] = {{\n{entries}}}\n"
    )


def _spread() -> Floats:
    """(F,) by which the features are divided before a fit, so that its penalty weighs them alike."""
    return FeatureScaler().spread[[*SIDED, *PLAIN]]


def _fitted(z: Floats, paid: Floats, strength: float) -> Any:
    """A logistic regression; strength: of a proposal beside the penalty, less than 1 where proposals overlap."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, max_iter=1000).fit(z, paid)


def _log_odds(p: float) -> float:
    return float(np.log(p / (1.0 - p)))


def _rounded(value: float) -> float:
    """Six digits: what is beyond differs from machine to machine."""
    return float(f"{value:.6g}")
