"""The confidence of policies: calibrated on the parts of their training, in a folder too, and better than none."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed: pip install 'windvane[train]'")

from predictable import RULES, parts

from some_policy import form, layers, policy
from windvane.infra.policies.calibration import calibrate, calibration
from windvane.infra.policies.folder import WEIGHTS, load_policy, write_policy
from windvane.infra.training.calibration import gains

TRAINED = {"simulated": True, "data": "nothing", "steps": 0, "seed": 0, "release": "0"}


def test_a_calibrated_policy_foretells_on_the_part_that_was_not_looked_at(tmp_path: Path) -> None:
    """A policy of random weights in a market in which a feature foretells the next returns."""
    data = parts(3)
    told = form(trained={**TRAINED, "rules": msgspec.to_builtins(RULES)})
    write_policy(tmp_path, layers((51, 16, 8, 3), 0, 0), told)
    weights = (tmp_path / WEIGHTS).read_bytes()
    calibrate(tmp_path, data)
    served = load_policy(tmp_path)
    assert (tmp_path / WEIGHTS).read_bytes() == weights
    assert served.form.confidence == calibration(policy(), RULES.costs, data)
    assert served.form.confidence is not None
    assert served.form.confidence.cost == pytest.approx(10e-4)
    tape, fresh, scores = data.test, served.state(), []
    for first, end in tape.pieces:
        served.restore(fresh)
        rows = slice(int(first), int(end))
        said = served.propose(tape.x[rows], tape.mid[rows], np.ones(int(end - first), np.int64))
        gain = gains(tape.mid[rows], said.target, np.full(int(end - first), 10e-4))
        used = said.target[: len(gain)] != 0.0
        p, paid = said.confidence[: len(gain)][used], (gain > 0.0)[used]
        scores.append(((p - paid) ** 2).mean() - paid.mean() * (1.0 - paid.mean()))
    assert np.mean(scores) < -1e-3


def test_a_policy_that_proposes_next_to_nothing_is_not_calibrated() -> None:
    assert calibration(policy(), RULES.costs, parts(3, rows=60, markets=2)) is None
