"""Writes simulated markets to files, and fits the constants by which features are scaled on them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from windvane.infra.training.samples import labelled
from windvane.metamodel.features.extractor import NAMES, WARMUP
from windvane.metamodel.features.scaler import FeatureScaler
from windvane.metamodel.simulation.market import simulate
from windvane.metamodel.simulation.seeds import SCALER

SCALER_TICKS = 30_000

_COLUMNS = ("ts", "price", "size", "bid", "ask", "bid_size", "ask_size", "buy_size", "regime")


def write_market(path: Path, market: str, ticks: int, seed: int, randomised: bool) -> None:
    """Write a simulated market to `path` as Parquet, with a note in its metadata that it is simulated.

    market: a name in `MARKETS`; ticks: number of rows; randomised: whether its parameters are drawn anew from the seed.
    """
    import pyarrow
    import pyarrow.parquet

    data = simulate(market, ticks, seed, randomised)
    table = pyarrow.table({name: getattr(data, name) for name in _COLUMNS})
    metadata = {"windvane.simulated": f"market {market}, seed {seed}"}
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(table.replace_schema_metadata(metadata), path, compression="zstd")


def fit_scaler(progress: Callable[[int], None] = lambda done: None) -> FeatureScaler:
    """Fit centre and spread of every feature on simulated markets of the seeds for the scaler.

    progress: called with the number of markets done after each.
    """
    rows = []
    for done, seed in enumerate(SCALER):
        market = labelled("standard", SCALER_TICKS, seed, randomised=True)
        rows.append(market.x[WARMUP:])
        progress(done + 1)
    return FeatureScaler.fit(np.concatenate(rows))


def scaler_source(scaler: FeatureScaler) -> str:
    """Return the source of the Python module in which the package holds the scaler's constants."""

    def table(name: str, values: np.ndarray) -> str:
        lines = "".join(f'    "{n}": {v:.6g},\n' for n, v in zip(NAMES, values.tolist(), strict=True))
        return f"{name}: dict[str, float] = {{\n{lines}}}\n"

    return (
        '"""Centre and spread of every feature on randomised simulated markets; made by `windvane train scaler`."""\n\n'
        + table("CENTRE", scaler.centre)
        + "\n"
        + table("SPREAD", scaler.spread)
    )
