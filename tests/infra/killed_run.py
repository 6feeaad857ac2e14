"""A run that is killed again and again: python killed_run.py FOLDER SEED KILLS, tells what happened as JSON.

Every attempt is a child process of its own, so that SIGKILL strikes it anywhere, between two system calls too.
"""

import contextlib
import json
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from simulated_book import config, controls, swaps
from windvane.infra.files.market_data import MarketData
from windvane.infra.runs.backtest import Plan, run
from windvane.infra.runs.journal import FILE
from windvane.infra.runs.warmup import warm_up
from windvane.metamodel.data.columns import Columns
from windvane.metamodel.simulation.market import BAR, simulate

ROWS = 6000
DEADLINE = 60.0


def market(rows: int = ROWS, seed: int = 3) -> MarketData:
    """A simulated market with a few bad rows, which the pipeline itself finds."""
    m = simulate("standard", rows, seed)
    price = m.price.copy()
    price[[700, 701, rows - 5]] = -1.0
    columns = Columns(
        ts=m.ts,
        price=price,
        **{
            name: getattr(m, name).copy()
            for name in ("size", "bid", "ask", "bid_size", "ask_size", "buy_size")
        },
    )
    return MarketData(
        file="market.parquet",
        kind="simulated",
        bars="ticks",
        columns=columns,
        interval=BAR,
        stale_after=10 * BAR,
        rejected={"crossed": 1},
        letters=((12, "crossed"),),
        notes=(),
    )


def plan(**changes: object) -> Plan:
    """A run with controls that keeps its state after every batch."""
    usual = Plan(
        book="book",
        config=config(),
        preset="test",
        batch=64,
        controls=(*controls(), *swaps()),
        snapshot_seconds=-1.0,
    )
    return replace(usual, **changes)


def grown(pid: int, path: Path, size: int) -> bool:
    """Whether the journal grew beyond a size while the process was alive."""
    until = time.monotonic() + DEADLINE
    while time.monotonic() < until:
        if os.waitpid(pid, os.WNOHANG) != (0, 0):
            return False
        with contextlib.suppress(FileNotFoundError):  # a run that starts anew removes it first
            if path.stat().st_size > size:
                return True
        time.sleep(0.0005)
    raise TimeoutError(f"process {pid} wrote less than {size} bytes to {path} within {DEADLINE} s")


def main(folder: Path, seed: int, kills: int) -> None:
    rng = np.random.default_rng(seed)
    rows, path, alive = market(), folder / "journal" / FILE, 0
    warm_up()
    for _ in range(kills):
        told = plan(batch=int(rng.choice([16, 64, 301])), wire=bool(rng.integers(0, 2)))
        size = (path.stat().st_size if path.exists() else 0) + int(rng.integers(0, 250_000))
        child = os.fork()
        if child == 0:
            run(told, rows, folder)
            os._exit(0)
        if not grown(child, path, size):
            break
        moment = time.perf_counter() + rng.uniform(0.0, 0.01)
        while time.perf_counter() < moment:
            pass
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        alive += os.WIFSIGNALED(status)
    finished = json.loads((folder / "journal" / "run.json").read_bytes())["finished"]
    result = None if finished else run(plan(), rows, folder)
    sys.stdout.write(json.dumps({"kills": alive, "resumed": result.resumed if result else ROWS}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
