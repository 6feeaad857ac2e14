"""Scores the regime classifier on SIMULATED markets that it was not trained on, beside two references.

The references are the same network untrained, and the most frequent regime as the answer to everything.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from windvane.agents.base import Ints
from windvane.infra.runs.progress import bar
from windvane.infra.training.samples import labelled
from windvane.metamodel.base import weights
from windvane.metamodel.base.regimes import REGIMES
from windvane.metamodel.features.extractor import WARMUP
from windvane.metamodel.regimes.classifier import MarketRegimeClassifier, shown_labels
from windvane.metamodel.regimes.model import RegimeModel, load_model, shipped
from windvane.metamodel.regimes.scores import RegimeScores
from windvane.metamodel.simulation.market import MARKETS
from windvane.metamodel.simulation.seeds import ALL

TICKS, WARM = 110_000, 5_000
COLUMNS = ("accuracy", "macro_f1", "median_delay", "switches_per_1000")


def untrained(model: RegimeModel, seed: int = 0) -> RegimeModel:
    """Return a model with the same network, features and prior, but random weights as before any training."""
    draw = np.random.Generator(np.random.PCG64(seed))
    units, inputs = len(model.network.back), len(model.features)
    shapes = {
        "gru.weight_ih_l0": (3 * units, inputs),
        "gru.weight_hh_l0": (3 * units, units),
        "gru.bias_ih_l0": (3 * units,),
        "gru.bias_hh_l0": (3 * units,),
        "out.weight": (len(REGIMES), units),
        "out.bias": (len(REGIMES),),
    }
    edge = units**-0.5
    tensors = {name: draw.uniform(-edge, edge, shape) for name, shape in shapes.items()}
    tensors |= {"centre": model.network.centre, "spread": model.network.spread, "prior": model.prior}
    return load_model(weights.to_bytes(tensors, model.about))


def judge(
    market: str,
    seeds: Sequence[int],
    ticks: int = TICKS,
    warm: int = WARM,
    model: RegimeModel | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, RegimeScores]:
    """Return the scores of "classifier", "untrained" and "majority" over all seeds of a simulated market.

    ticks: rows a seed, of which the first `warm` are not scored; model: None judges the one that ships; progress:
    called with the number of seeds done after each.
    """
    model = model or shipped()
    networks = {"classifier": model, "untrained": untrained(model)}
    scores = {name: RegimeScores() for name in (*networks, "majority")}
    for done, seed in enumerate(seeds):
        rows = labelled(market, ticks, seed)
        flags = np.zeros(ticks, np.int64)
        for name, network in networks.items():
            posterior = MarketRegimeClassifier(network).step(rows.x, flags)
            scores[name].merge(_scored(shown_labels(posterior, model=network), rows.regime, warm))
        usual = np.full(ticks, int(model.prior.argmax()))
        scores["majority"].merge(_scored(usual, rows.regime, warm))
        progress(done + 1)
    return scores


def _scored(label: Ints, true: Ints, warm: int) -> RegimeScores:
    """The scores of labels (n,) against true regimes (n,), without the warm-up."""
    start, scores = max(warm, WARMUP), RegimeScores()
    scores.add(true[start:], label[start:])
    return scores


def main(arguments: Sequence[str] | None = None) -> None:
    """Judge a model on markets and seeds as the command line says, and print the table of scores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--markets", nargs="+", choices=list(MARKETS), default=list(MARKETS))
    parser.add_argument(
        "--seeds", choices=list(ALL), default="validation", help="a set of metamodel/simulation/seeds.py"
    )
    parser.add_argument("--ticks", type=int, default=TICKS)
    parser.add_argument("--model", type=Path, help="safetensors to judge instead of those shipped")
    parser.add_argument("--json", type=Path, help="file to write all figures to")
    options = parser.parse_args(arguments)
    model = load_model(options.model.read_bytes()) if options.model else shipped()
    seeds, figures = ALL[options.seeds], dict[str, dict[str, Any]]()
    table = Table(title=f"SIMULATED markets, {len(seeds)} {options.seeds} seeds, model {model.version}")
    for heading in ("market", "", *COLUMNS):
        table.add_column(heading)
    for market in options.markets:
        with bar(market, len(seeds)) as progress:
            judged = judge(market, seeds, options.ticks, model=model, progress=progress)
        figures[market] = {name: scores.figures() for name, scores in judged.items()}
        for name, values in figures[market].items():
            table.add_row(market, name, *("-" if values[c] is None else f"{values[c]:.3g}" for c in COLUMNS))
    Console().print(table)
    if options.json:
        options.json.write_text(json.dumps({"model": model.version, **figures}, indent=2))


if __name__ == "__main__":
    main()
