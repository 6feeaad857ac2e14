"""The market that a policy is trained on, in three parts: to learn from, to stop on, and to be measured on.

Of a file the parts follow each other in time, so that nothing is judged on rows before those it learned from. In
folds, one policy after the other learns from all that came before the two pieces that it is chosen and measured on. Of
a simulated market the parts are markets of their own, whose seeds no other purpose uses.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from windvane.infra.files.market_data import MarketData, load_market
from windvane.infra.files.reading import AS_RECOGNISED, Reading
from windvane.metamodel.base.config import ConfigError, Costs, check
from windvane.metamodel.features.extractor import FeatureRows, MarketFeatureExtractor
from windvane.metamodel.simulation.episodes import SimulatedEpisodes
from windvane.metamodel.simulation.market import MARKETS
from windvane.metamodel.simulation.seeds import LEARNERS, STOPPING, UNSEEN
from windvane.metamodel.simulation.tape import Tape, joined, part, tape_of

TRAIN = 0.6
"""Share of a file's rows that the first fold learns from; the rest is cut into one equal piece more than folds."""

LEAST, MOST_FOLDS = 200, 20
"""Rows of the shortest part, and folds of a file."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The three parts of what a policy is trained on; x of every tape are raw features (n, 50)."""

    train: Tape
    validation: Tape
    test: Tape
    about: str  # what it is, for people
    simulated: bool
    fee_bp: float  # of the market, where nobody says otherwise
    digest: str = ""  # of the rows of a file

    def named(self) -> dict[str, Tape]:
        """The parts by name, in the order in which they are used."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


def simulated_parts(market: str, markets: int, ticks: int) -> Parts:
    """Simulate `markets` markets to learn from, and a quarter as many for each of the other parts.

    market: a name in MARKETS; ticks: rows of every market past its warm-up. Raises ConfigError for what cannot be.
    """
    check(1 <= markets <= len(LEARNERS), f"--markets is {markets}: give 1 to {len(LEARNERS)}")
    check(ticks >= LEAST, f"--ticks is {ticks}: give {LEAST} or more")
    source, few = SimulatedEpisodes(market=market, max_steps=ticks), max(markets // 4, 1)

    def played(seeds: range) -> Tape:
        return joined([tape_of(source.episode(seed).rows) for seed in seeds])

    return Parts(
        train=played(LEARNERS[:markets]),
        validation=played(STOPPING[:few]),
        test=played(UNSEEN[:few]),
        about=f"SIMULATED market {market}: {markets} seeds from {LEARNERS[0]}, {few} from {STOPPING[0]} to stop on, "
        f"{few} from {UNSEEN[0]} to be measured on, {ticks} ticks each",
        simulated=True,
        fee_bp=MARKETS[market].fee_bp,
    )


def file_parts(
    path: Path, bars: str | None, folds: int = 1, reading: Reading = AS_RECOGNISED
) -> Iterator[Parts]:
    """Read a file and cut it in time, once a fold.

    Each fold learns from one piece more than the one before, stops on the piece that follows, and is measured on the
    one after that; one fold is 60, 20 and 20 %. Raises ConfigError or InputError where the file has too few rows or
    cannot be read.
    """
    check(1 <= folds <= MOST_FOLDS, f"--folds is {folds}: give 1 to {MOST_FOLDS}")
    market = load_market(path, bars=bars, reading=reading)
    tape = tape_of(_features(market))
    n, digest = len(tape.mid), market.digest()
    cuts = [int((TRAIN + (1.0 - TRAIN) * piece / (folds + 1)) * n) for piece in range(folds + 2)]
    if min(cuts[0], *(b - a for a, b in pairwise(cuts))) < LEAST:
        least = int(LEAST * (folds + 1) / (1.0 - TRAIN)) + 1
        raise ConfigError(f"{path.name} has {n} rows past the warm-up: give {least} or more to train on")
    for fold in range(folds):
        first, second, end = cuts[fold : fold + 3]
        of = f", up to {end}: fold {fold + 1} of {folds}" if folds > 1 else ""
        yield Parts(
            train=part(tape, 0, first),
            validation=part(tape, first, second),
            test=part(tape, second, end),
            about=f"{path.name}, {market.bars}, {n} rows past the warm-up, cut in time at {first} and {second}{of}",
            simulated=market.kind == "simulated",
            fee_bp=Costs().fee_bp,
            digest=digest,
        )


def file_rows(path: Path, bars: str | None = None, reading: Reading = AS_RECOGNISED) -> FeatureRows:
    """Read a file and return its rows with their features, for `rows` of `windvane.TradeSimulator`."""
    return _features(load_market(path, bars=bars, reading=reading))


def _features(market: MarketData) -> FeatureRows:
    """The rows of a file with their features."""
    c, names = market.columns, ("size", "bid", "ask", "bid_size", "ask_size", "buy_size")
    optional = {name: getattr(c, name) for name in names if getattr(c, name) is not None}
    extractor = MarketFeatureExtractor(market.stale_after)
    return extractor.step(c.ts, market.flags(0, len(c)), c.price, **optional)
