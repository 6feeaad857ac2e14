"""Calibrates the confidence of a policy on the parts that it was trained, and chosen, on."""

from pathlib import Path

import msgspec
import numpy as np

from windvane.agents.confidence import Calibration
from windvane.agents.learned.policy import LearnedPolicy
from windvane.infra.policies.folder import load_policy, write_form
from windvane.infra.policies.judging import policy_positions
from windvane.infra.policies.market import Parts
from windvane.infra.training.calibration import Judged, calibrated, joined, judged
from windvane.metamodel.base.config import Costs
from windvane.metamodel.simulation.simulator_rules import SimulatorRules
from windvane.metamodel.simulation.tape import Tape


def calibration(policy: LearnedPolicy, costs: Costs, parts: Parts) -> Calibration | None:
    """Fit the confidence of a policy on the train part, and scale it on the validation part; needs scikit-learn.

    costs: that its proposals are judged by, without delay. None where it proposes too little there.
    """
    train, validation = (_judged(policy, costs, tape) for tape in (parts.train, parts.validation))
    return calibrated(train, validation, float(_cost(parts.validation, costs).mean()))


def calibrate(folder: Path, parts: Parts) -> None:
    """Calibrate the policy in a folder by the costs that it was trained with, and write its policy.json again."""
    policy = load_policy(folder)
    rules = msgspec.convert(policy.form.trained.rules, SimulatorRules)
    found = calibration(policy, rules.costs, parts)
    write_form(folder, msgspec.structs.replace(policy.form, confidence=found))


def _judged(policy: LearnedPolicy, costs: Costs, tape: Tape) -> Judged:
    """What a policy proposes on a tape, each of its markets begun anew, and what came of it."""
    target, cost = policy_positions(policy, tape, policy.state()), _cost(tape, costs)
    pieces = [slice(first, end) for first, end in tape.pieces.tolist()]
    return joined([judged(tape.x[rows], tape.mid[rows], target[rows], cost[rows]) for rows in pieces])


def _cost(tape: Tape, costs: Costs) -> np.ndarray:
    """Of a unit traded at each row (n,), share of price."""
    half = np.where(np.isnan(tape.ask), costs.half_spread_bp * 1e-4, (tape.ask - tape.bid) / (2.0 * tape.mid))
    return half + (costs.fee_bp + costs.slippage_bp) * 1e-4
