"""A SIMULATED market whose next return follows from a signal that is seen: what can be earned in it is known."""

import numpy as np

from windvane.agents.learned.draws import generator
from windvane.infra.policies.market import Parts
from windvane.metamodel.base.config import Costs
from windvane.metamodel.features.columns import NAMES
from windvane.metamodel.simulation.market import BAR
from windvane.metamodel.simulation.simulator_rules import SimulatorRules
from windvane.metamodel.simulation.tape import Tape, joined

MEMORY, EDGE, DEVIATION = 0.95, 0.15, 25e-4
"""Of the signal from row to row; share of a return that follows from it; of the return of a row."""

RULES = SimulatorRules(costs=Costs(fee_bp=10.0, delay=0), actions="target", sees_position=True)


def tape(seed: int, rows: int) -> Tape:
    """The signal in the first of 50 columns, noise in the second and third, and prices that follow the signal."""
    draw = generator(seed)
    noise = draw.standard_normal((rows, 4))
    signal = np.empty(rows)
    signal[0] = noise[0, 0]
    for t in range(1, rows):
        signal[t] = MEMORY * signal[t - 1] + np.sqrt(1.0 - MEMORY**2) * noise[t, 0]
    x = np.zeros((rows, len(NAMES)))
    x[:, 0], x[:, 1], x[:, 2] = signal, noise[:, 1], noise[:, 2]
    gain = DEVIATION * (EDGE * signal + np.sqrt(1.0 - EDGE**2) * noise[:, 3])
    mid = 100.0 * np.exp(np.append(0.0, np.cumsum(gain[:-1])))
    absent = np.full(rows, np.nan)
    ts = BAR * np.arange(1, rows + 1)
    return Tape(x, mid, absent, absent.copy(), np.ones(rows), ts, np.array([[0, rows]]))


def parts(seed: int, rows: int = 4_000, markets: int = 16) -> Parts:
    def some(first: int, count: int) -> Tape:
        return joined([tape(1_000 * seed + first + m, rows) for m in range(count)])

    return Parts(some(0, markets), some(100, 8), some(200, 32), "SIMULATED predictable market", True, 10.0)
