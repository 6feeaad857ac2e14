"""The capped simplex: weights that sum to 1, none above a cap, and enough of them above a floor.

Every member's weights and the final mixture live in it. Sleeping agents (awake 0) have weight 0; the cap is raised to
1 / awake and the minimum lowered to the number awake where they could not be met otherwise.
"""

from typing import NamedTuple

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.agents.kernel import kernel

FLOOR = 0.05
"""The least weight of each of the `minimum` best agents."""

_TINY = 1e-300


class Simplex(NamedTuple):
    """The weights that are allowed of n agents."""

    awake: Ints  # (n,) 0 for agents that sleep
    cap: float
    minimum: int  # so many of the best agents get the floor
    box: Floats  # (3, n) scratch: bounds, and where a step leads


@kernel
def _total(v: Floats, lower: Floats, upper: Floats, tau: float) -> tuple[float, int]:
    """Sum of clip(v - tau, lower, upper) and how many of its terms are strictly inside."""
    total = 0.0
    inside = 0
    for i in range(v.shape[0]):
        x = v[i] - tau
        if x <= lower[i]:
            total += lower[i]
        elif x >= upper[i]:
            total += upper[i]
        else:
            total += x
            inside += 1
    return total, inside


@kernel
def bounds(v: Floats, simplex: Simplex) -> None:
    """Fill two rows of the box, lower and upper bounds; the floor goes to the largest of v (n,), ties to the first."""
    n, awake, lower, upper = v.shape[0], simplex.awake, simplex.box[0], simplex.box[1]
    count = 0
    for i in range(n):
        count += awake[i]
        lower[i] = 0.0
        upper[i] = 0.0
    if count == 0:
        return
    limit, minimum = max(simplex.cap, 1.0 / count), simplex.minimum
    for i in range(n):
        if awake[i]:
            upper[i] = limit
    floor = min(FLOOR, limit, 1.0 / max(1, min(minimum, count)))
    for _ in range(min(minimum, count)):
        best = -1
        for i in range(n):
            if awake[i] and lower[i] == 0.0 and (best < 0 or v[i] > v[best]):
                best = i
        lower[best] = floor


@kernel
def project_box(v: Floats, lower: Floats, upper: Floats, w: Floats) -> None:
    """Euclidean projection of v (n,) on {w: sum w = 1, lower <= w <= upper}, written to w.

    w = clip(v - tau, lower, upper) with the one tau that makes the sum 1, found by Newton steps on the piecewise
    linear sum, kept inside a shrinking bracket (Held, Wolfe and Crowder 1974).
    """
    n = v.shape[0]
    left = v[0] - upper[0]
    right = v[0] - lower[0]
    for i in range(1, n):
        left = min(left, v[i] - upper[i])
        right = max(right, v[i] - lower[i])
    tau = 0.5 * (left + right)
    for _ in range(200):
        total, inside = _total(v, lower, upper, tau)
        excess = total - 1.0
        if excess > 0.0:
            left = tau
        else:
            right = tau
        if abs(excess) < 1e-15 or right - left < _TINY:
            break
        step = tau + excess / inside if inside > 0 else left
        new = step if left < step < right else 0.5 * (left + right)
        if new == tau:
            break
        tau = new
    rest = 1.0
    for i in range(n):
        w[i] = min(max(v[i] - tau, lower[i]), upper[i])
        rest -= w[i]
    for i in range(n):  # what rounding of a large v left over goes where there is room
        room = upper[i] - w[i] if rest > 0.0 else lower[i] - w[i]
        part = min(rest, room) if rest > 0.0 else max(rest, room)
        w[i] += part
        rest -= part


@kernel
def project(v: Floats, simplex: Simplex, w: Floats) -> None:
    """Projection of v (n,) on the capped simplex, written to w (n,); 0 where nobody is awake."""
    bounds(v, simplex)
    any_awake = False
    for i in range(v.shape[0]):
        any_awake = any_awake or simplex.awake[i] != 0
        w[i] = 0.0
    if any_awake:
        project_box(v, simplex.box[0], simplex.box[1], w)


@kernel
def allocate(mu: Floats, S: Floats, gamma: float, steps: int, simplex: Simplex, w: Floats) -> None:
    """Move w (n,) by projected gradient towards argmax mu'w - gamma/2 w'Sw on the capped simplex.

    mu: (n,) expected scores; S: (n, n) their covariance. The floor goes to the agents of largest mu. A step is
    1 / (gamma trace S), a bound of the inverse Lipschitz constant of the gradient.
    """
    n, awake = mu.shape[0], simplex.awake
    lower, upper, v = simplex.box[0], simplex.box[1], simplex.box[2]
    bounds(mu, simplex)
    trace = 0.0
    any_awake = False
    for i in range(n):
        any_awake = any_awake or awake[i] != 0
        trace += awake[i] * S[i, i]
    if not any_awake:
        for i in range(n):
            w[i] = 0.0
        return
    step = 1.0 / (gamma * trace + 1e-12)
    for _ in range(steps):
        for i in range(n):
            v[i] = 0.0
        for j in range(n):  # v = S w, by columns: S is symmetric, and this order runs on vector units
            for i in range(n):
                v[i] += S[j, i] * w[j]
        for i in range(n):
            v[i] = w[i] + step * (mu[i] - gamma * v[i])
        project_box(v, lower, upper, w)


def equal(awake: Ints) -> Floats:
    """Return equal weights (n,) over the agents that are awake."""
    count = int(awake.sum())
    return np.where(awake != 0, 1.0 / count, 0.0) if count else np.zeros(len(awake))
