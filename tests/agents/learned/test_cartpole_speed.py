"""The comparison of training speed compares equal work: as many updates on both sides, or it is refused."""

import json
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'windvane[train]'")

import cartpole_speed
from cartpole_speed import Workload, compared, ours

SHORT = Workload(steps=512, warm_up=256, before=128, batch=32, rollout=16, epochs=2)


def peer(folder: Path, monkeypatch: pytest.MonkeyPatch, dqn: int) -> None:
    """A program in place of the one that trains, which says how often it updated."""
    told = {"version": "1", "dqn": {"rate": 1.0, "updates": dqn}, "ppo": {"rate": 1.0, "updates": 32}}
    program = folder / "peer.py"
    program.write_text(f"import sys; sys.stdout.write({json.dumps(told)!r})")
    monkeypatch.setattr(cartpole_speed, "PROGRAM", program)


def test_every_learner_updates_as_often_as_the_workload_says() -> None:
    assert {name: run.updates for name, run in ours(SHORT).items()} == {
        "dqn": 512 // 4,
        "ppo": 512 // (16 * 8) * 2 * 4,
    }


def test_equal_work_is_compared_and_other_work_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer(tmp_path, monkeypatch, dqn=128)
    pairs = list(compared(sys.executable, SHORT, turns=1))
    assert [(pair.algorithm, pair.version, pair.theirs.rate) for pair in pairs] == [
        ("dqn", "1", 1.0),
        ("ppo", "1", 1.0),
    ]
    peer(tmp_path, monkeypatch, dqn=64)
    with pytest.raises(SystemExit, match="dqn updated 128 times here and 64 times there"):
        list(compared(sys.executable, SHORT, turns=1))
    with pytest.raises(SystemExit, match="give PEER an interpreter that imports it"):
        list(compared(str(tmp_path / "none"), SHORT, turns=1))
