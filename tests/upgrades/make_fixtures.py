"""Makes tests/upgrades/vX_Y_Z: what a release leaves behind when it is stopped, and what it would have done next.

Run once, in a checkout of the release itself, before anything else is changed:

    PYTHONPATH=tests/upgrades .venv/bin/python tests/upgrades/make_fixtures.py tests/upgrades/v0_1_0

For a release that changed no file but the states of stages, `--states` after the folder makes the small part that tests
those: pipeline.tar.gz with no more of log.jsonl than the states have not read, and without earlier/.

pipeline.tar.gz: of two books on one partition, as stages on topics run them,
    log.jsonl      all records up to the stop, {topic, offset, raw}, features and proposals from row EARLIER - 40 on
    earlier/STAGE  states stored at row EARLIER, as if the processes had been killed at the stop
    states/STAGE   states stored at the stop, by SIGTERM
    ticks.jsonl    the rows that came after the stop
    orders.jsonl, fills.jsonl, statements.jsonl, decisions.npz: what the release made of them
backtest.tar.gz: a run of `windvane backtest` that was stopped at row STOP (stopped/), its file, and the same run
    finished (finished/)
session.tar.gz: a checkpoint of a training session, and the weights (n, N) that a learner with it gave on rows of a seed
settings.json: every default of what decides results, and digests of some settings
code.txt: the digest of the code that computed all this
"""

import io
import json
import sys
import tarfile
import tempfile
from pathlib import Path

import msgspec
import numpy as np
import orjson
from release_books import EARLIER, RECORD, ROWS, STOP, Log, Pipeline, inputs

from windvane.agents.kernel import code_digest
from windvane.infra.files.market_data import load_market
from windvane.infra.kafka.broker.settings import KafkaSettings
from windvane.infra.kafka.worker.plan import plan_of
from windvane.infra.runs import backtest as runs
from windvane.infra.training.simulated import write_market
from windvane.infra.training_sessions.checkpoints import read
from windvane.infra.training_sessions.trainer import MetaLearningEnsembleTrainer
from windvane.metamodel.base.config import Costs, TradingConfig, digest
from windvane.metamodel.base.limits import RiskLimits
from windvane.metamodel.learning.learned import load
from windvane.metamodel.learning.manager import MetaLearningEnsembleManager
from windvane.metamodel.settings.presets import PRESETS, made
from windvane.streams.codec import from_json, to_json
from windvane.streams.events import Batch, Decisions
from windvane.streams.topics import FEATURES, PROPOSALS
from windvane.streams.worker import StageWorker

PARTITIONS = 4


def add(tar: tarfile.TarFile, name: str, raw: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(raw)
    tar.addfile(info, io.BytesIO(raw))


def lines(things: list[object]) -> bytes:
    return b"".join(orjson.dumps(thing) + b"\n" for thing in things)


def pipeline(out: Path, whole: bool) -> None:
    """Stop two books, and go on with them; not whole: keep only what going on from the states needs."""
    settings = KafkaSettings(prefix="windvane")

    def make(stage: object, saved: bytes | None) -> StageWorker:
        name = stage.name  # type: ignore[attr-defined]
        spec = (
            "proposals:vol_trend,ema_momentum,buy_and_hold,zscore_reversion" if name == "proposals" else name
        )
        plan = plan_of(spec, settings, PARTITIONS, Path("states"))
        return StageWorker(plan.stage, plan.layout, saved)

    log = Log()
    running = Pipeline(log, make)
    running.send(inputs(0, EARLIER))
    earlier = running.states()
    running.send(inputs(EARLIER, STOP))
    states = running.states()
    kept, unread = [], dict(log.ends)
    for worker in running.workers.values():
        for topic in worker.stage.reads:
            unread[topic.name] = min(unread[topic.name], worker.positions[topic.name])
    for name, records in log.records.items():
        for offset, raw in records:
            if not whole and offset < unread[name]:
                continue
            event = from_json(raw) if name in (FEATURES.name, PROPOSALS.name) else None
            if isinstance(event, Batch) and event.last < EARLIER - 40:
                continue
            kept.append({"topic": name, "offset": offset, "raw": raw.decode()})
    ends = dict(log.ends)
    coming = [{"topic": t.name, "raw": to_json(e).decode()} for t, e in inputs(STOP, ROWS)]
    going = Pipeline(log, make, states)
    going.send(inputs(STOP, ROWS))
    for _ in range(4):  # what was asked for last is trained, too
        going.pump()

    def after(name: str) -> list[bytes]:
        return [raw for offset, raw in log.records[name] if offset >= ends[name]]

    with tarfile.open(out / "pipeline.tar.gz", "w:gz", compresslevel=9) as tar:
        add(tar, "log.jsonl", lines(kept))
        add(tar, "ends.json", json.dumps(ends).encode())
        add(tar, "ticks.jsonl", lines(coming))
        for folder, found in (("earlier", earlier if whole else {}), ("states", states)):
            for name, raw in found.items():
                add(tar, f"{folder}/{name}", raw)
        for name in ("orders", "fills", "statements"):
            add(tar, f"{name}.jsonl", b"".join(raw + b"\n" for raw in after(name)))
        columns: dict[str, np.ndarray] = {}
        for book in ("steady", "clock"):
            found = [e for raw in after("decisions") if (e := from_json(raw)).book == book]
            assert all(isinstance(e, Decisions) for e in found)
            for column in ("seq", "target", "equity", "verdicts", "learner", "controls"):
                columns[f"{book}.{column}"] = np.concatenate([getattr(e, column) for e in found])
            assert columns[f"{book}.seq"].tolist() == list(range(STOP, ROWS)), book
        packed = io.BytesIO()
        np.savez_compressed(packed, **columns)
        add(tar, "decisions.npz", packed.getvalue())


def backtest(out: Path) -> None:
    """Stop a backtest, and finish another copy of it."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        write_market(home / "market.parquet", "standard", ROWS, 3, False)
        market = load_market(home / "market.parquet")
        config = TradingConfig(
            interval=market.interval,
            stale_after=market.stale_after,
            agents=("vol_trend", "buy_and_hold"),
            costs=Costs(fee_bp=1.0, delay=1),
            limits=RiskLimits(max_drawdown=0.3),
        )
        for name, stops in (("stopped", True), ("finished", False)):
            done: list[int] = []
            plan = runs.Plan(book="main", config=config, preset="balanced", batch=RECORD)
            runs.run(
                plan,
                market,
                home / name,
                progress=done.append,
                stopping=lambda stops=stops, done=done: stops and done[-1] >= STOP,
            )
        with tarfile.open(out / "backtest.tar.gz", "w:gz", compresslevel=9) as tar:
            for path in sorted(home.rglob("*")):
                if path.is_file() and path.name != ".lock":
                    add(tar, str(path.relative_to(home)), path.read_bytes())


def trained(out: Path) -> None:
    """A checkpoint of a small training session, and what a learner that loads it gives on other rows."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        config = made(
            "balanced",
            {"max_steps": 200},
            {
                "agents": ("vol_trend", "buy_and_hold"),
                "performance_prediction_enabled": False,
                "min_diversification_agents": 1,
            },
        )
        trainer = MetaLearningEnsembleTrainer(config, "fixture", home / "session")
        trainer.train_episode(0)
        trainer.save_checkpoint("final_session")
        weighing, delay = trainer.meta_ensemble.config.weighing, trainer.meta_ensemble.config.costs.delay
        manager = MetaLearningEnsembleManager(config.agents, weighing, delay=delay)
        load(manager, read(home / "session" / "final_session").raw)
        rng, rows = np.random.default_rng(7), 100
        given = manager.step(
            rng.normal(size=(rows, 50)),
            100.0 * np.exp(0.003 * rng.normal(size=rows).cumsum()),
            rng.uniform(-1.0, 1.0, size=(rows, 2)),
            np.full(rows, 1e-4),
            np.ones(rows, np.int64),
        )
        np.save(home / "weights.npy", given)
        with tarfile.open(out / "session.tar.gz", "w:gz", compresslevel=9) as tar:
            for path in sorted(home.rglob("*")):
                if path.is_file() and path.suffix in (".json", ".safetensors", ".npy"):
                    add(tar, str(path.relative_to(home)), path.read_bytes())


def settings(out: Path) -> None:
    """Every default of what decides results, and digests of some settings."""
    usual = TradingConfig(agents=("vol_trend",))
    others = [
        usual,
        TradingConfig(agents=("vol_trend", "buy_and_hold"), closing="timed", seed=7, capital=5e5),
        TradingConfig(agents=("vol_trend",), limits=RiskLimits(max_orders=3, price_collar=0.2)),
        TradingConfig(agents=("vol_trend",), costs=Costs(fee_bp=0.5, delay=0)),
        *(made(preset).trading(agents=("vol_trend", "ema_momentum")) for preset in PRESETS),
    ]
    told = {
        "defaults": msgspec.to_builtins(usual),
        "digests": [[msgspec.to_builtins(config), digest(config)] for config in others],
    }
    (out / "settings.json").write_text(json.dumps(told, indent=1) + "\n")


def main() -> None:
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    whole = "--states" not in sys.argv[2:]
    pipeline(out, whole)
    if whole:
        backtest(out)
        trained(out)
        settings(out)
    (out / "code.txt").write_text(code_digest() + "\n")


if __name__ == "__main__":
    main()
