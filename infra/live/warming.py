"""The kernels that make rows of trades are compiled, or loaded from the cache, before time counts."""

import gc

from windvane.infra.feeds.feed import Market, Quote, Trade
from windvane.infra.live.rows import LiveRows
from windvane.metamodel.base.config import SECOND


def warm_up() -> None:
    """Make a bar of a few trades: kernels are compiled for types, which no market changes.

    What was imported by then is collected no more, so that no row waits while the collector goes through it.
    """
    market = Market("none", "BTC/USDT", "BTCUSDT", "BTC", "USDT", 0.01, 1e-5, 0.0, 0.0, 0.0, False)
    rows = LiveRows(market, SECOND, "warm-up")
    rows.put([Quote(SECOND, 1.0, 1.1, 1.0, 1.0)])
    rows.put([Trade(k, k * SECOND, 1.0, 1.0, True) for k in range(1, 5)])
    rows.close_until(9 * SECOND)
    gc.collect()
    gc.freeze()
