"""The whole learner against a plain version of it, row by row."""

import learner_reference as reference
import numpy as np
import pytest
from learner_rows import KNOWN, STRANGERS, manager, part, rows, scaler

from windvane.agents.base import Floats
from windvane.metamodel.base.config import WeighingConfig
from windvane.metamodel.features.extractor import NAMES
from windvane.metamodel.learning.members import MEMBERS, prior


def start_of(agents: tuple[str, ...]) -> dict[str, Floats]:
    """What the members know of these agents at the start, looked up by name."""
    known, n = prior.shipped(), len(agents)

    def labels(names: tuple[str, ...]) -> list[tuple[str, int]]:
        return [("", i) for i in range(64)] + [(name, block) for block in range(5) for name in names]

    at = {label: i for i, label in enumerate(labels(known.agents))}
    mine, familiar = labels(agents), set(agents) & set(known.agents)
    normal, moment = 1500.0 * np.eye(len(mine)), np.zeros((len(mine), n))
    first, second = np.zeros((7, n)), np.array([np.eye(n)] * 7)
    for i, one in enumerate(mine if familiar else []):
        for j, other in enumerate(mine):
            if one in at and other in at:
                normal[i, j] += 125_000.0 * known.normal[at[one], at[other]]
        for j, name in enumerate(agents):
            if one in at and name in familiar:
                moment[i, j] = 125_000.0 * known.moment[at[one], known.agents.index(name)]
    for i, one_name in enumerate(agents):
        for j, other_name in enumerate(agents):
            if {one_name, other_name} <= familiar:
                places = known.agents.index(one_name), known.agents.index(other_name)
                first[:, i] = known.moments.first[:, places[0]]
                second[:, i, j] = known.moments.second[:, places[0], places[1]]
    return {"normal": normal, "moment": moment, "first": first, "second": second}


@pytest.mark.parametrize(
    ("agents", "delay", "cold"),
    [
        (STRANGERS[:6], 1, 100),
        (STRANGERS[:3], 3, 33),
        (STRANGERS[:1], 1, 50),
        (KNOWN, 0, 0),
        (("buy_and_hold", "stranger", "ema_momentum"), 1, 20),
    ],
)
def test_against_the_reference(agents: tuple[str, ...], delay: int, cold: int) -> None:
    assert MEMBERS == ("equal", "prod", "contextual", "pretrained", "regime", "predictor")
    n, told = len(agents), (3.0, 1.0, 2.0, 2.0, 2.0, 5.0)
    config = WeighingConfig(max_agent_weight=0.45, min_diversification_agents=2, share_rate=1e-4, prior=told)
    given_rows, m = rows(n + delay, 640, n, cold), manager(agents, config, delay, seed=9)
    got, share = np.empty((640, n)), np.empty((640, 6))
    for t in range(640):
        got[t] = m.step(*part(given_rows, t, t + 1))[0]
        share[t] = m.learner.learned.share
    scale = scaler(9)
    rules = reference.Settings(
        cap=0.45,
        minimum=2,
        aversion=1.0,
        eta=0.02,
        alpha=1e-4,
        delay=delay,
        prior=np.array(told[:5]) / 10.0,
        centre=scale.centre,
        spread=scale.spread,
        trend=NAMES.index("trend_128"),
        volatility=NAMES.index("vol_128_slow"),
        **start_of(agents),
    )
    x, mid, target, cost, warm, posterior = given_rows
    expected = reference.run(rules, x, posterior, mid, target, cost, warm)
    np.testing.assert_allclose(m.learner.memory.gn, expected.gn[-1], rtol=0.0, atol=1e-9)
    np.testing.assert_allclose(m.learner.learned.S, expected.S, rtol=0.0, atol=1e-9)
    found = (m.learner.learned.contextual.mu, m.learner.learned.pretrained.mu, m.learner.learned.regime.mu)
    np.testing.assert_allclose(found, expected.mu, rtol=0.0, atol=1e-8)
    np.testing.assert_allclose(m.learner.learned.w[:5], expected.members[-1], rtol=0.0, atol=1e-7)
    np.testing.assert_allclose(share[:, :5], expected.share, rtol=0.0, atol=1e-7)
    assert (share[:, 5] == 0.0).all()  # not retrained, so no member
    np.testing.assert_allclose(got, expected.weights, rtol=0.0, atol=1e-7)
    assert m.weights == dict(zip(m.agents, m.learner.learned.weights.tolist(), strict=True))
    assert list(m.member_weights.values()) == share[-1].tolist()
    totals = expected.gn.sum(axis=0) / (640 - cold)
    np.testing.assert_allclose(list(m.mean_scores.values())[:n], totals, rtol=0.0, atol=1e-9)
