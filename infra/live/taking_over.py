"""A live book that begins with what another run has learned, and with nothing else of it."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from windvane.infra.live.book import LiveBook
from windvane.infra.runs.backtest import opened_as
from windvane.infra.runs.learned import FEATURES, LEARNED
from windvane.infra.runs.snapshots import RunError
from windvane.metamodel.base.config import TradingConfig
from windvane.metamodel.base.weights import WeightsError
from windvane.metamodel.learning import learned
from windvane.metamodel.trading.ensemble import manager_of
from windvane.streams.models import swap_to
from windvane.streams.opening import unlike


def learned_by(run: Path, config: TradingConfig) -> bytes:
    """What the finished run in a folder has learned, for a book with these settings; safetensors.

    Raises RunError where the run left nothing, or its agents, interval, weighing or features are others.
    """
    path = run / LEARNED
    if not path.is_file():
        raise RunError(
            f"{run} has no {LEARNED}: name the folder of a backtest or live session that this version has finished"
        )
    theirs = opened_as(run / "journal")
    alike = replace(
        config,
        agents=theirs.agents,
        kinds=theirs.kinds,
        versions=config.versions if len(theirs.agents) == len(config.agents) else (),
        interval=theirs.interval,
        weighing=theirs.weighing,
    )
    if others := unlike(alike, config):
        raise RunError(
            f"what {run} has learned does not fit ({others}): give the same, or another --from-run"
        )
    raw = path.read_bytes()
    try:
        about = learned.load(manager_of(config), raw)
    except WeightsError as error:
        raise RunError(f"{path} cannot be taken over: {error}") from error
    if about.get("features") != FEATURES:
        program = about.get("program", "another program")
        raise RunError(f"{path} was learned by {program} from other features: run it again with this version")
    return raw


def take_over(book: LiveBook, raw: bytes, row: int = 0) -> None:
    """Go on from a row with what was learned elsewhere: a swap, recorded as any, which a roll-back undoes."""
    number = book.control_number + 1
    reason = "what another run has learned"
    model, control = swap_to(raw, book=book.opened.book, number=number, effective_from=row, reason=reason)
    book.control(control, model)
