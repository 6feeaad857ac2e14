"""Computes a simulated market tick by tick from random numbers that were drawn before."""

import math

from windvane.agents.base import Floats, Ints
from windvane.agents.kernel import inlined, kernel

SIGMA = 25e-4  # return of one sigma: 25 bp at a 15-minute tick
START = 10_000.0  # price before the first tick
LOT = 40.0  # mean traded size of a tick in a regime of volume 1

DRIFT, VOL, PULL, LAG, JUMPS, JUMP_MEAN, RETURNS, VOLUME, SPREAD = range(9)
"""Rows of the parameters; columns are the regimes."""

NOISE, STATE, TRADED, WIDTH, BID_SIZE, ASK_SIZE, FLOW = range(7)
NORMALS = 7
"""Columns of the normal draws; NOISE is Student's t instead."""

JUMP, JUMP_SIDE, JUMP_SIZE = range(3)
UNIFORMS = 3
"""Columns of the uniform draws."""

GLIDE = 15.0  # ticks in which volatility, volume and spread approach a new regime's level
ANCHOR_SPAN = 300.0
RETURN_RATE = 0.25  # share of what is still to come of a jump's aftermath that comes in a tick
STATE_SD, STATE_MEMORY = 0.25, 0.995  # stochastic log volatility: stationary deviation and lag-1 coefficient
VOLUME_SD, VOLUME_MEMORY = 0.55, 0.85  # log volume
SPREAD_SD, SPREAD_MEMORY = 0.35, 0.97  # log half spread
BOOK_SD = 0.6  # log size at the best bid and ask
DEPTH = 0.05  # size at the best price over the traded size of a tick, both at their means


@kernel
def walk(
    t5: Floats,
    normal: Floats,
    uniform: Floats,
    regime: Ints,
    side: Floats,
    parameters: Floats,
    out: Floats,
) -> None:
    """Fill out (7, n) with price, size, bid, ask, bid_size, ask_size and buy_size.

    t5: (n,) Student-t(5) draws; normal: (n, 7); uniform: (n, 3) in [0, 1); regime: (n,); side: (n,) +-1, the sign of
    its drift; parameters: (9, 7), drifts in returns a tick, volatilities as returns, half spreads as shares.
    """
    unit = math.sqrt(3.0 / 5.0)  # Student-t(5) has variance 5/3
    state_step = STATE_SD * math.sqrt(1.0 - STATE_MEMORY * STATE_MEMORY)
    volume_step = VOLUME_SD * math.sqrt(1.0 - VOLUME_MEMORY * VOLUME_MEMORY)
    spread_step = SPREAD_SD * math.sqrt(1.0 - SPREAD_MEMORY * SPREAD_MEMORY)
    first = regime[0]
    x, anchor, r, pending = 0.0, 0.0, 0.0, 0.0
    volatility = math.log(parameters[VOL, first])
    volume = math.log(parameters[VOLUME, first])
    spread = math.log(parameters[SPREAD, first])
    state = STATE_SD * normal[0, STATE]
    traded = VOLUME_SD * normal[0, TRADED]
    width = SPREAD_SD * normal[0, WIDTH]
    for t in range(regime.shape[0]):
        k = regime[t]
        volatility += (math.log(parameters[VOL, k]) - volatility) / GLIDE
        volume += (math.log(parameters[VOLUME, k]) - volume) / GLIDE
        spread += (math.log(parameters[SPREAD, k]) - spread) / GLIDE
        if t > 0:
            state = STATE_MEMORY * state + state_step * normal[t, STATE]
            traded = VOLUME_MEMORY * traded + volume_step * normal[t, TRADED]
            width = SPREAD_MEMORY * width + spread_step * normal[t, WIDTH]
        v = math.exp(volatility + state - STATE_SD * STATE_SD)  # so that its root mean square is the regime's
        noise = unit * t5[t]
        released = RETURN_RATE * pending
        pending -= released
        r = side[t] * parameters[DRIFT, k] + parameters[LAG, k] * r - parameters[PULL, k] * (x - anchor)
        r += v * noise + released
        if uniform[t, JUMP] < parameters[JUMPS, k]:
            size = 4.0 + uniform[t, JUMP_SIZE]
            up = 0.5 * (1.0 + parameters[JUMP_MEAN, k] / 4.5)
            jump = v * (size if uniform[t, JUMP_SIDE] < up else -size)
            r += jump
            pending -= parameters[RETURNS, k] * jump
        x += r
        anchor += 2.0 / (ANCHOR_SPAN + 1.0) * (x - anchor)

        half = math.exp(spread + width - 0.5 * SPREAD_SD * SPREAD_SD)
        busy = 0.6 + 0.4 * min(abs(r) / v, 6.0)  # volume goes with the size of moves (Karpoff 1987)
        level = LOT * math.exp(volume)
        size = level * busy * math.exp(traded - 0.5 * VOLUME_SD * VOLUME_SD)
        buyers = 0.5 + 0.5 * math.tanh(0.35 * r / v + 0.3 * normal[t, FLOW])
        _quote(START * math.exp(x), half, level, normal[t], out[:, t])
        out[1, t], out[6, t] = size, size * buyers


@inlined
def _quote(price: float, half: float, level: float, normal: Floats, out: Floats) -> None:
    """Fill price and quotes of a row of out (7,): half spread as a share, level of traded sizes, draws normal (7,)."""
    out[0] = price
    out[2] = price * (1.0 - half)
    out[3] = price * (1.0 + half)
    out[4] = DEPTH * level * math.exp(BOOK_SD * normal[BID_SIZE])
    out[5] = DEPTH * level * math.exp(BOOK_SD * normal[ASK_SIZE])
