"""Runs that are stopped, killed, damaged and gone on with must end as if nothing had happened."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from killed_run import DEADLINE, ROWS, market, plan

from simulated_book import config, outputs, same
from windvane.infra.runs import backtest, journal, snapshots
from windvane.infra.runs.backtest import run
from windvane.infra.runs.compare import differences
from windvane.infra.runs.journal import FILE, JournalError
from windvane.infra.runs.replay import replay
from windvane.infra.runs.snapshots import RunError
from windvane.infra.training.simulated import write_market
from windvane.metamodel.base.config import Costs
from windvane.streams import topics
from windvane.streams.events import DeadLetter, Decisions, Fills, Orders, Ticks
from windvane.streams.records import each_fill, each_order

TESTS = Path(__file__).resolve().parents[2]
HERE = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}
CLI = [sys.executable, "-c", "from windvane.infra.cli.main import main; main()"]
SMALL = market(1400, 5)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    assert run(plan(batch=4096), market(), folder).finished
    return folder / "journal"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    assert run(plan(batch=200), SMALL, folder).finished
    return folder / "journal"


def exported(folder: Path) -> bytes:
    """Orders and fills as the lines of JSON that people read."""
    lines = msgspec.json.Encoder()
    found = [e for _, e in journal.read(folder)]
    orders = [o for e in found if isinstance(e, Orders) for o in each_order(e, "BTCUSD")]
    fills = [f for e in found if isinstance(e, Fills) for f in each_fill(e, "BTCUSD")]
    assert orders
    assert fills
    return lines.encode_lines(orders) + lines.encode_lines(fills)


def assert_same_run(got: Path, wanted: Path) -> None:
    """Nothing was lost, repeated or changed on any topic but the cut of records."""
    assert differences(got, wanted) is None
    assert exported(got) == exported(wanted)
    results = [t for t in topics.TOPICS if t not in (topics.FEATURES, topics.PROPOSALS, topics.TICKS)]
    one, other = list(journal.read(got)), list(journal.read(wanted))
    same(outputs(one, *results), outputs(other, *results))
    seqs = [e.seq for _, e in one if isinstance(e, Ticks)]
    assert np.array_equal(np.concatenate(seqs), np.arange(sum(map(len, seqs))))


def stop_after(batches: int) -> Any:
    asked = iter(range(batches))
    return lambda: next(asked, None) is None


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_random_moments_it_ends_as_if_undisturbed(
    seed: int, undisturbed: Path, tmp_path: Path
) -> None:
    command = [sys.executable, str(TESTS / "infra" / "killed_run.py"), str(tmp_path), str(seed), "7"]
    done = subprocess.run(command, env=HERE, capture_output=True, timeout=2 * DEADLINE, check=False)
    assert done.returncode == 0, done.stderr.decode()
    told = json.loads(done.stdout)
    assert told["kills"] >= 3
    assert told["resumed"] > 0
    assert_same_run(tmp_path / "journal", undisturbed)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_crash_around_any_write_of_a_file_loses_nothing(
    after: bool, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, left, crashes = backtest.replace_file, 0, 0

    def write(path: Path, raw: bytes) -> None:
        nonlocal left
        left -= 1
        if left == 0 and not after:
            raise InterruptedError
        whole(path, raw)
        if left == 0:
            raise InterruptedError

    monkeypatch.setattr(backtest, "replace_file", write)
    monkeypatch.setattr(snapshots, "replace_file", write)
    for place in range(1, 40):
        shutil.rmtree(tmp_path)
        left = place
        try:
            run(plan(batch=350), SMALL, tmp_path)
        except InterruptedError:
            crashes += 1
        else:
            break
        assert run(plan(batch=350), SMALL, tmp_path).finished
        assert_same_run(tmp_path / "journal", small)
    assert crashes == 7


def test_what_was_written_after_the_last_snapshot_is_cut_off(small: Path, tmp_path: Path) -> None:
    first = run(plan(batch=100), SMALL, tmp_path, stopping=stop_after(7))
    assert (first.finished, first.rows) == (False, 700)
    with (tmp_path / "journal" / FILE).open("ab") as file:
        file.write((small / FILE).read_bytes()[-5000:])
    second = run(plan(batch=100), SMALL, tmp_path)
    assert (second.finished, second.rows, second.resumed) == (True, 1400, 700)
    assert_same_run(tmp_path / "journal", small)


def test_a_run_may_be_stopped_after_every_batch(small: Path, tmp_path: Path) -> None:
    finished, rounds = False, 0
    while not finished:
        finished = run(plan(batch=90, wire=rounds % 2 == 0), SMALL, tmp_path, stopping=stop_after(1)).finished
        rounds += 1
    assert rounds == 16
    assert_same_run(tmp_path / "journal", small)


def test_a_finished_run_is_run_anew(small: Path, tmp_path: Path) -> None:
    for _ in range(2):
        result = run(plan(), SMALL, tmp_path)
        assert (result.finished, result.resumed, result.rows) == (True, 0, 1400)
        assert_same_run(tmp_path / "journal", small)


OTHERS = {
    "costs": (plan(config=config(costs=Costs(fee_bp=7.0))), SMALL),
    "controls": (plan(controls=()), SMALL),
    "journal": (plan(full=True), SMALL),
    "book": (plan(book="second"), SMALL),
    "data": (plan(), market(1400, 6)),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS.keys())
def test_an_unfinished_run_of_something_else_is_not_touched(other: Any, small: Path, tmp_path: Path) -> None:
    run(plan(batch=100), SMALL, tmp_path, stopping=stop_after(3))
    before = {p.name: p.read_bytes() for p in (tmp_path / "journal").iterdir()}
    with pytest.raises(RunError, match="choose another --out") as refused:
        run(*other, tmp_path)
    assert "\n" not in str(refused.value)
    assert {p.name: p.read_bytes() for p in (tmp_path / "journal").iterdir()} == before


@pytest.mark.parametrize("name", ["snapshot.wvs", "run.json"])
@pytest.mark.parametrize("damage", ["flipped", "torn", "empty"])
def test_a_damaged_file_is_named_in_one_sentence(name: str, damage: str, tmp_path: Path) -> None:
    run(plan(batch=100), SMALL, tmp_path, stopping=stop_after(3))
    path = tmp_path / "journal" / name
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 0x80
    path.write_bytes({"flipped": bytes(raw), "torn": bytes(raw[:11]), "empty": b""}[damage])
    with pytest.raises(RunError, match=name):
        run(plan(batch=100), SMALL, tmp_path)


@pytest.mark.parametrize("wire", [False, True])
def test_a_replay_gives_the_same_run(wire: bool, small: Path, tmp_path: Path) -> None:
    rows, _, opened = replay(small, tmp_path, wire=wire)
    assert rows == 1400
    assert opened.config == plan().config
    assert_same_run(tmp_path / "journal", small)
    with pytest.raises(RunError):
        replay(small, small.parent)


def test_dead_letters_of_the_reader_and_of_the_pipeline_are_told_once(small: Path) -> None:
    letters = [e for _, e in journal.read(small) if isinstance(e, DeadLetter)]
    assert [e.source for e in letters] == [
        "market.parquet row 12",
        *(f"ticks of book, seq {row}" for row in (700, 701)),
        *["Control of book book"] * 2,  # a resume that a halt passed, a swap to what is no weights
        "ticks of book, seq 1395",
    ]


def test_every_journal_holds_proposals_and_a_full_one_features(small: Path, tmp_path: Path) -> None:
    run(plan(full=True), SMALL, tmp_path)
    assert_same_run(tmp_path / "journal", small)
    full, usual = ({t.name for t, _ in journal.read(path)} for path in (tmp_path / "journal", small))
    assert full - usual == {topics.FEATURES.name}
    assert topics.PROPOSALS.name in usual


def test_the_first_difference_is_told(small: Path, tmp_path: Path) -> None:
    rows = list(journal.read(small))

    def journal_with(change: Any) -> Path:
        shutil.rmtree(tmp_path, ignore_errors=True)
        with journal.JournalWriter(tmp_path) as writer:
            for topic, event in rows:
                writer.write(topic, change(event))
        return tmp_path

    def nudged(value: float) -> Any:
        def change(event: Any) -> Any:
            if not isinstance(event, Decisions) or not event.first <= 3 <= event.last:
                return event
            target = event.target.copy()
            target[3 - event.first] = value
            return msgspec.structs.replace(event, target=target)

        return change

    assert differences(small, journal_with(lambda e: e)) is None
    for value in (5e-324, -0.0):
        assert "target, first at seq 3:" in str(differences(small, journal_with(nudged(value)))), value
    rows = [(t, e) for t, e in rows if not isinstance(e, Fills)]
    assert "fills" in str(differences(small, journal_with(lambda e: e)))


def test_half_a_journal_of_a_finished_run_is_not_replayed_as_if_whole(small: Path, tmp_path: Path) -> None:
    half = tmp_path / "half"
    shutil.copytree(small, half)
    rows = list(journal.read(small))
    middle = [i for i, (_, e) in enumerate(rows) if isinstance(e, Ticks)][3]
    with journal.JournalWriter(half) as writer:
        for topic, event in rows[:middle]:
            writer.write(topic, event)
    with pytest.raises((RunError, JournalError)):
        replay(half, tmp_path / "again")


@pytest.fixture
def interrupted(tmp_path: Path) -> tuple[list[str], Path]:
    """A command whose run was stopped by SIGINT in its middle."""
    write_market(tmp_path / "market.parquet", "standard", ROWS, 3, False)
    out = tmp_path / "out"
    command = [
        *CLI,
        "backtest",
        str(tmp_path / "market.parquet"),
        "--out",
        str(out),
        "--delay",
        "2",
        "--retraining",
        "off",
    ]
    with subprocess.Popen([*command, "--batch", "1"], env=HERE, stderr=subprocess.PIPE) as process:
        try:
            until = time.monotonic() + DEADLINE
            path = out / "journal" / FILE
            while process.poll() is None and not (path.exists() and path.stat().st_size > 300_000):
                assert time.monotonic() < until
                time.sleep(0.005)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=DEADLINE)
        finally:
            process.kill()
    assert process.returncode == 130, said.decode()
    assert b"run the same command again" in said
    return command, out


def test_after_ctrl_c_the_same_command_goes_on(interrupted: tuple[list[str], Path], tmp_path: Path) -> None:
    command, out = interrupted
    decided = [e for _, e in journal.read(out / "journal") if isinstance(e, Decisions)]
    assert 0 < decided[-1].last < ROWS - 1
    other = subprocess.run([*command, "--fee-bp", "9"], env=HERE, capture_output=True, check=False)
    assert other.returncode == 2
    assert other.stderr.count(b"\n") == 1, other.stderr
    done = subprocess.run(command, env=HERE, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"went on from row {decided[-1].last + 1:,} ".encode() in done.stderr
    replay(out / "journal", tmp_path / "again")
    assert_same_run(tmp_path / "again" / "journal", out / "journal")


def test_a_log_cut_between_two_records_of_a_step_replays_the_same(small: Path, tmp_path: Path) -> None:
    rows = list(journal.read(small))
    last = max(i for i, (topic, _) in enumerate(rows) if topic.name == "decisions")
    for kept in (last, last + 1, last + 2):
        cut_off = tmp_path / f"cut-{kept}"
        shutil.copytree(small, cut_off)
        with journal.JournalWriter(cut_off) as writer:
            for topic, event in rows[:kept]:
                writer.write(topic, event)
        assert differences(cut_off, small, whole=False) is None
        assert differences(cut_off, small) is not None
