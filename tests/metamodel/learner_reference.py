"""The whole learner, slow and plain: whole arrays, solved matrices, no rings.

Cesa-Bianchi and Lugosi 2006 for the setting; Gaillard, Stoltz and van Erven 2014 for Adapt-ML-Prod; Herbster and
Warmuth 1998 for Fixed-Share; weighted ridge regression in place of recursive least squares. Stated conventions: what
was never decided is 0, covariances are of deviations from the slow means just moved, eight warm-started steps of
projected gradient give the weights of the members that predict. Moments of regimes are weighted means over all rows
so far, with the prior's moments as 20,000 rows more. The parts of the pretrained fit have factors, learned by least
squares from 1 before the rest is.
"""

import math
from typing import NamedTuple

import numpy as np

from windvane.agents.base import Floats, Ints


class Settings(NamedTuple):
    cap: float
    minimum: int
    aversion: float
    eta: float
    alpha: float
    delay: int
    prior: Floats
    centre: Floats
    spread: Floats
    trend: int  # column of the 128-tick trend
    volatility: int  # column of the logarithm of volatility over its slow average
    normal: Floats  # (E, E) what the pretrained member's ridge starts from
    moment: Floats  # (E, N)
    first: Floats  # (7, N) prior moments of the regimes
    second: Floats  # (7, N, N)


class Outcome(NamedTuple):
    weights: Floats  # (n, N)
    members: Floats  # (n, 5, N)
    share: Floats  # (n, 5)
    gn: Floats  # (n, N)
    S: Floats  # (N, N)
    mu: tuple[Floats, Floats, Floats]  # (N,) of the members that predict


def nearest(v: Floats, order: Floats, cap: float, minimum: int) -> Floats:
    """Projection on the capped simplex whose floors are given in the order of `order`, by bisection."""
    n = len(v)
    lower, upper = np.zeros(n), np.full(n, max(cap, 1.0 / n))
    lower[np.argsort(-order, kind="stable")[: min(minimum, n)]] = 0.05
    low, high = (v - upper).min(), (v - lower).max()
    for _ in range(200):
        tau = (low + high) / 2.0
        if np.clip(v - tau, lower, upper).sum() > 1.0:
            low = tau
        else:
            high = tau
    return np.clip(v - high, lower, upper)


def known_volatility(r: Floats) -> Floats:
    s, variance = [1e-6], 0.0
    for k, move in enumerate(r[1:], start=1):
        s.append(math.sqrt(max(variance, 1e-12)))
        square = move**2 if k == 1 else min(move**2, 36.0 * s[-1] ** 2)
        variance += max(2.0 / 129.0, 1.0 / k) * (square - variance)
    return np.array(s)


def through_regimes(z: Floats, q: Floats, fast: Floats, slow: Floats, a: Floats) -> Floats:
    """Regressors of the pretrained member."""
    bull, bear, high, low, breakout, _, crisis = q
    return np.concatenate(
        [
            [1.0],
            z[:21] / 2.0,
            q,
            *(z[i] / 2.0 * q for i in (1, 2, 3, 15, 16)),
            10.0 * fast,
            25.0 * slow,
            a * (bull - bear - crisis),
            np.abs(a) * (high + low),
            np.abs(a) * (bull + bear + breakout + crisis),
        ]
    )


def moments(rules: Settings, gn: Floats, q: Floats, now: Floats) -> tuple[Floats, Floats]:
    """Mean and covariance under posterior `now` after scores gn (m, N) of what was decided under q (m, 7)."""
    age = 0.5 ** (np.arange(len(gn) - 1, -1, -1.0) / 3e4)
    mu, S = np.zeros(gn.shape[1]), np.zeros((gn.shape[1],) * 2)
    for k in range(7):
        each = age * q[:, k]
        rows = 2e4 + each.sum()
        mean = (2e4 * rules.first[k] + each @ gn) / rows
        product = (2e4 * rules.second[k] + (each[:, None] * gn).T @ gn) / rows
        mu, S = mu + now[k] * mean, S + now[k] * (product - np.outer(mean, mean))
    return mu, S


def parts(n: int) -> list[list[int]]:
    """Which regressors of the pretrained member share a factor: what a market's mechanism makes strong together."""
    alone = [[i] for i in range(22)]
    posterior = list(range(22, 29))
    crossed = [
        ([at + k for k in range(7) if k not in (2, 3)], [at + 2, at + 3]) for at in range(29, 29 + 35, 7)
    ]
    blocks = [list(range(64 + block * n, 64 + block * n + n)) for block in range(5)]
    return [*alone, posterior, *(part for pair in crossed for part in pair), *blocks]


class Factors:
    """Bayesian least squares around 1; information that fades, but never below what was there at the start."""

    def __init__(self, size: int) -> None:
        self.information, self.factor = np.eye(size) / 9.0, np.ones(size)

    def learn(self, said: Floats, y: Floats, keep: float) -> None:
        for u, came in zip(said, y, strict=True):
            self.information = self.information + np.outer(u, u)
            self.factor = self.factor + np.linalg.solve(self.information, u * (came - u @ self.factor))
        grown = np.sqrt(np.minimum(1.0 / keep, 9.0 / np.diag(np.linalg.inv(self.information))))
        self.information = self.information / np.outer(grown, grown)


class Ridge:
    """Least squares whose past counts for less and less, solved anew each time."""

    def __init__(self, normal: Floats, moment: Floats, half_life: float) -> None:
        self.normal, self.moment, self.keep = normal, moment, 0.5 ** (4 / half_life)

    def learn(self, x: Floats, y: Floats) -> None:
        self.normal = self.keep * self.normal + np.outer(x, x)
        self.moment = self.keep * self.moment + np.outer(x, y)

    def predict(self, x: Floats) -> Floats:
        return x @ np.linalg.solve(self.normal, self.moment)


def run(rules: Settings, x: Floats, p: Floats, mid: Floats, a: Floats, cost: Floats, warm: Ints) -> Outcome:
    rows, n = a.shape
    d = rules.delay
    z = np.clip((x - rules.centre) / rules.spread, -5.0, 5.0)
    r = np.diff(np.log(mid), prepend=math.log(mid[0]))
    s = known_volatility(r)
    member_a, members, gn = np.zeros((rows, 5)), np.zeros((rows, 5, n)), np.zeros((rows, n))
    weights, shares, xs, ys = np.zeros((rows, n)), np.zeros((rows, 5)), {}, {}
    before = np.concatenate([np.zeros((1 + d, 7)), p])  # before[t] is what was known when gn[t]'s was decided

    def scored(t: int, held: Floats) -> Floats:
        now = held[t - 1 - d] if t - 1 - d >= 0 else np.zeros(held.shape[1])
        past = held[t - 2 - d] if t - 2 - d >= 0 else np.zeros(held.shape[1])
        paid = cost[t - 1] if t else 0.0
        return np.clip((now * r[t] - np.abs(now - past) * paid) / s[t], -4.0, 4.0)

    w = np.full((5, n), 1.0 / n)
    best, share, square = w[2:].copy(), rules.prior.copy(), np.ones(5)
    fast, slow, S = np.zeros(n), np.zeros(n), np.eye(n)
    mu = tuple(np.zeros(n) for _ in range(3))
    product, rate, squares = (
        np.full(n, 1.0 / n),
        np.full(n, min(0.5, math.sqrt(math.log(max(n, 2))))),
        np.zeros(n),
    )
    size = 1 + x.shape[1] + 4 * n
    online = Ridge(1500.0 * np.eye(size), np.zeros((size, n)), 3e5)
    fit, shared = np.linalg.solve(rules.normal, rules.moment), parts(n)
    factors, rest = Factors(len(shared)), Ridge(rules.normal, np.zeros((len(rules.normal), n)), 2e5)
    expects = np.tile([0.02, 0.2], (3, 1))

    def by_part(y: Floats) -> Floats:
        return np.array([[y[part] @ fit[part, i] for part in shared] for i in range(n)])

    first = int(np.argmax(warm)) if warm.any() else rows
    for t in range(rows):
        if t >= first:
            gn[t] = scored(t, a)
            fast = fast + (1.0 - 0.5 ** (1 / 96)) * (gn[t] - fast)
            slow = slow + (1.0 - 0.5 ** (1 / 768)) * (gn[t] - slow)
            S = S + (1.0 - 0.5 ** (1 / 2000)) * (np.outer(gn[t] - slow, gn[t] - slow) - S)
            regret = (gn[t] - w[1] @ gn[t]) / 8.0
            squares = squares + regret**2
            new = np.minimum(0.5, np.sqrt(math.log(max(n, 2)) / (1.0 + squares)))
            product, rate = (product * (1.0 + rate * regret)) ** (new / rate), new
            member = scored(t, member_a)
            square = 0.5 ** (1 / 4000) * square + (1.0 - 0.5 ** (1 / 4000)) * member**2
            gain = np.clip(member / np.maximum(0.15, np.sqrt(square)), -4.0, 4.0)
            share = share * np.exp(rules.eta * gain)
            share = (1.0 - rules.alpha) * share / share.sum() + rules.alpha * rules.prior

            w[1] = nearest(rate * product / (rate @ product), rate * product, rules.cap, rules.minimum)
            if t % 4 == 0:
                if t - 32 >= first:
                    came = gn[t - 31 : t + 1].mean(axis=0)
                    online.learn(xs[t - 32], came)
                    said = by_part(ys[t - 32])
                    factors.learn(said, came - rest.predict(ys[t - 32]), 0.5 ** (4 / 2e5))
                    rest.learn(ys[t - 32], came - said @ factors.factor)
                drift = 0.5 * z[t, rules.trend]
                xs[t] = np.concatenate(
                    [[1.0], z[t] / 2.0, 10.0 * fast, 25.0 * slow, a[t] * drift, np.abs(a[t])]
                )
                ys[t] = through_regimes(z[t], p[t], fast, slow, a[t])
                means, own = moments(rules, gn[first : t + 1], before[first : t + 1], p[t])
                mu = (online.predict(xs[t]), by_part(ys[t]) @ factors.factor + rest.predict(ys[t]), means)
                size = math.exp(np.clip(x[t, rules.volatility], -2.0, 2.0))
                for j, (m, C) in enumerate(zip(mu, (S, own, own), strict=True)):
                    pays_most = np.clip(expects[j, 0] / expects[j, 1], 0.01, 0.5)
                    gamma = rules.aversion * pays_most * size
                    pace, to = 1.0 / (gamma * np.trace(C) + 1e-12), best[j]
                    for _ in range(8):
                        to = nearest(to + pace * (m - gamma * C @ to), m, rules.cap, rules.minimum)
                    best[j] = to
                    expects[j] += 4 / 8000 * (np.array([size * to @ m, size**2 * to @ C @ to]) - expects[j])
            w[2:] = w[2:] + 0.25 * (best - w[2:])
        mixed = share @ w
        weights[t], members[t], shares[t] = nearest(mixed, mixed, rules.cap, rules.minimum), w, share
        member_a[t] = w @ a[t]
    return Outcome(weights, members, shares, gn, S, mu)
