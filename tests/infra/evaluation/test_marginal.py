"""What agents are worth: teams are cut from one market, and each is what the ensemble of those agents would do."""

import numpy as np

from windvane.agents.factory import AGENTS, RULES
from windvane.infra.evaluation.books import books
from windvane.infra.evaluation.marginal import one, teams
from windvane.infra.evaluation.methods import OURS, targets
from windvane.infra.evaluation.rows import simulated

TICKS, SEED = 1_500, 2023


def test_teams_are_all_the_rules_and_all_but_one() -> None:
    found = teams(["ppo", "vol_trend"])
    assert list(found) == ["all", "rules", "without ppo", "without vol_trend"]
    assert found["all"] == tuple(AGENTS)
    assert found["rules"] == tuple(RULES)
    assert found["without ppo"] == tuple(a for a in AGENTS if a != "ppo")


def test_a_team_is_the_ensemble_of_its_agents() -> None:
    sharpe, alone = one("standard", SEED, TICKS, ["dqn"])
    for place, team in enumerate(teams(["dqn"]).values()):
        rows = simulated("standard", SEED, TICKS, 0, team)
        ours = dict(targets(rows))[OURS]
        np.testing.assert_allclose(books(rows, ours[:, None]).sharpe, sharpe[place], rtol=1e-12)
    rows = simulated("standard", SEED, TICKS, 0)
    np.testing.assert_allclose(books(rows, rows.target).sharpe, alone, rtol=1e-12)
    assert len({*sharpe}) == 3
