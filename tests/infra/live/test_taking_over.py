"""A live book that begins with what another run has learned: with that, and with nothing else of the run."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cli_harness import refusal, windvane
from live_session import events, market, plan, running
from test_live_command import WORDS, live

from windvane.infra.exchange.capture import Capture
from windvane.infra.exchange.server import LocalExchange
from windvane.infra.live.taking_over import learned_by
from windvane.infra.runs.backtest import opened_as
from windvane.infra.runs.learned import LEARNED
from windvane.infra.runs.snapshots import RunError
from windvane.metamodel.base import weights
from windvane.streams.events import Control, Decisions, Model

WHOLE = market()
LONG = market(seconds=2000)  # a process that is slow to start still finds it going on


def trades_of(whole: Capture, file: Path) -> Path:
    """The trades of a capture as a market file."""
    t = whole.trades
    side = np.where(t.buyer == 1, "B", "S")
    pd.DataFrame({"ts": t.ms, "agg_id": t.id, "price": t.price, "qty": t.qty, "side": side}).to_parquet(file)
    return file


@pytest.fixture(scope="module")
def backtest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished backtest of bars of 100 ms."""
    folder = tmp_path_factory.mktemp("backtest")
    words = (trades_of(WHOLE, folder / "trades.parquet"), "--bars", "100ms", "--retraining", "off")
    ran = windvane("backtest", *words, "--out", folder / "run")
    assert ran.code == 0, ran
    return folder / "run"


def column(out: Path, name: str) -> np.ndarray:
    """A column of all decisions of a journal, a row each."""
    return np.concatenate([getattr(event, name) for event in events(out, Decisions)])


def test_the_first_row_is_weighed_as_the_last_one_of_the_run(backtest: Path, tmp_path: Path) -> None:
    async def work() -> tuple[int, str, str]:
        async with LocalExchange(LONG, speed=40) as exchange:
            words = ("--duration", "2", "--out", str(tmp_path / "out"), "--from-run", str(backtest), "--json")
            return await live(exchange.url, *words)

    code, _, said = asyncio.run(work())
    assert code == 0, said
    for name in ("weights", "members"):
        last, first = column(backtest, name)[-1], column(tmp_path / "out", name)[0]
        assert (first == last).all()
        assert not np.allclose(first, first[0]), "the run has learned something"
    assert (column(tmp_path / "out", "equity")[0], column(tmp_path / "out", "position")[0]) == (1e6, 0.0)
    (control,) = events(tmp_path / "out", Control)
    (model,) = events(tmp_path / "out", Model)
    assert (control.action, control.model) == ("swap", model.sha256)
    assert (column(tmp_path / "out", "controls") == 1).all()
    ran = windvane("replay", tmp_path / "out", "--as-recorded", "--out", tmp_path / "again")
    assert ran.code == 0, ran


def test_what_a_session_has_learned_is_taken_over_as_well(tmp_path: Path) -> None:
    async def session(out: Path, learned: bytes = b"") -> None:
        async with (
            LocalExchange(WHOLE, speed=40) as exchange,
            running(exchange.url, out, plan(learned=learned)) as one,
        ):
            await one.rows(700)

    asyncio.run(session(tmp_path / "one"))
    learned = learned_by(tmp_path / "one", opened_as(tmp_path / "one" / "journal"))
    asyncio.run(session(tmp_path / "two", learned))
    last, rows = column(tmp_path / "one", "weights")[-1], column(tmp_path / "two", "weights")
    assert (rows[0] == last).all()
    assert (rows[511] == last).all(), "rows that warm up teach nothing"
    assert not (rows[-1] == last).all()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--agents", "vol_trend,buy_and_hold"), "agents is ("),
        (("--bars", "1s"), "interval is 100000000 there and 1000000000 here"),
        (("--preset", "conservative"), "weighing.max_agent_weight"),
        (("--from-run", "nowhere"), f"nowhere has no {LEARNED}: name the folder of a backtest"),
    ],
)
def test_what_does_not_fit_is_refused_before_anybody_is_asked(
    words: tuple[str, ...], sentence: str, backtest: Path, tmp_path: Path
) -> None:
    said = refusal(windvane("live", *WORDS[1:], "--from-run", backtest, "--out", tmp_path / "x", *words))
    assert sentence in said


def test_what_was_learned_from_other_features_or_is_damaged_is_refused(
    backtest: Path, tmp_path: Path
) -> None:
    config, raw = opened_as(backtest / "journal"), (backtest / LEARNED).read_bytes()
    (tmp_path / "journal").symlink_to(backtest / "journal")
    file = weights.from_bytes(raw)
    (tmp_path / LEARNED).write_bytes(weights.to_bytes(file.tensors, {**file.about, "features": "a,b"}))
    with pytest.raises(RunError, match=r"learned by windvane .* from other features: run it again"):
        learned_by(tmp_path, config)
    (tmp_path / LEARNED).write_bytes(raw[: len(raw) // 2])
    with pytest.raises(RunError, match="cannot be taken over"):
        learned_by(tmp_path, config)
