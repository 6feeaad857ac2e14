"""A SIMULATED environment whose next return follows from its first feature, so that what can be learned is known."""

import numpy as np

from windvane.agents.learned.draws import generator
from windvane.metamodel.features.scaler import FeatureScaler
from windvane.metamodel.simulation.trade_simulator import Episode, TradeSimulator

MEMORY, EDGE, DEVIATION = 0.95, 0.5, 25e-4
"""Of the signal from row to row; share of a return that follows from the signal; of the return of a row."""


class SignalledMarkets(TradeSimulator):
    """The rows of its base, but for the first feature, and prices that follow it."""

    def episode(self, seed: int, max_steps: int | None = None) -> Episode:
        whole = super().episode(seed, max_steps)
        rows, scaler = whole.rows, FeatureScaler()
        n = len(rows.ts)
        noise = generator(seed).standard_normal((n, 2))
        signal = np.empty(n)
        signal[0] = noise[0, 0]
        for t in range(1, n):
            signal[t] = MEMORY * signal[t - 1] + np.sqrt(1.0 - MEMORY**2) * noise[t, 0]
        gain = DEVIATION * (EDGE * signal + np.sqrt(1.0 - EDGE**2) * noise[:, 1])
        mid = 100.0 * np.exp(np.append(0.0, np.cumsum(gain[:-1])))
        x = rows.x.copy()
        x[:, 0] = scaler.centre[0] + scaler.spread[0] * signal
        return whole._replace(rows=rows._replace(x=x, price=mid, mid=mid, bid=mid * 0.9999, ask=mid * 1.0001))
