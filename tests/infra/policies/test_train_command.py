"""windvane train dqn, ppo, rainbow: every option arrives, Ctrl-C loses nothing, and what is wrong is said first."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'windvane[train]'")

from cli_harness import refusal, simulated, windvane  # noqa: E402

from windvane.infra.policies.folder import load_policy  # noqa: E402
from windvane.infra.policies.market import file_parts  # noqa: E402

TINY = ("--simulated", "--markets", "1", "--ticks", "200", "--steps", "640", "--every", "320")
FAST = ("--set", "steps=16")
LEARNERS = {
    "dqn": ("--set", "before=100"),
    "ppo": FAST,
    "rainbow": ("--set", "before=100", "--set", "atoms=11"),
}


def story(out: Path) -> dict[str, Any]:
    return json.loads((out / "checkpoint" / "checkpoint.json").read_bytes())


@pytest.mark.parametrize("algorithm", LEARNERS)
def test_it_trains_and_what_it_writes_is_served(algorithm: str, tmp_path: Path) -> None:
    ran = windvane("train", algorithm, *TINY, *LEARNERS[algorithm], "--out", tmp_path)
    assert ran.code == 0, ran.err
    assert "SIMULATED profit" in ran.err
    assert "steps/s" in ran.err
    agent = load_policy(tmp_path)
    assert agent.name == algorithm
    assert agent.warmup == 512
    assert any((tmp_path / "events").iterdir())
    trained = json.loads((tmp_path / "policy.json").read_bytes())["trained"]
    assert trained["simulated"] is True
    assert set(trained["metrics"]) == {"baselines", "train", "validation", "test"}
    again = windvane("train", algorithm, *TINY, *LEARNERS[algorithm], "--out", tmp_path)
    assert "goes on from step 640" in again.err, "all steps are taken: what is measured is the same"
    assert json.loads((tmp_path / "policy.json").read_bytes())["trained"] == trained


OPTIONS: dict[str, tuple[list[str], list[str], Any]] = {
    "--steps": (["330"], ["recipe", "steps"], 330),
    "--seed": (["5"], ["recipe", "seed"], 5),
    "--environments": (["4"], ["recipe", "environments"], 4),
    "--episode": (["33"], ["recipe", "episode"], 33),
    "--every": (["110"], ["recipe", "every"], 110),
    "--patience": (["7"], ["recipe", "patience"], 7),
    "--fee-bp": (["3"], ["recipe", "rules", "costs", "fee_bp"], 3.0),
    "--slippage-bp": (["0.5"], ["recipe", "rules", "costs", "slippage_bp"], 0.5),
    "--half-spread-bp": (["2"], ["recipe", "rules", "costs", "half_spread_bp"], 2.0),
    "--delay": (["2"], ["recipe", "rules", "costs", "delay"], 2),
    "--reward": (["drawdown"], ["recipe", "rules", "reward"], "drawdown"),
    "--configuration": (["DoubleDQN"], ["recipe", "settings", "dueling"], False),
    "--set": (["batch=8"], ["recipe", "settings", "batch"], 8),
}
"""A value, and where it is told in checkpoint.json; what each does is tested with the simulator and the learners."""


def test_every_option_arrives(tmp_path: Path) -> None:
    market = tmp_path / "m.parquet"
    simulated(market, 2_000)
    words = [word for name, (values, _, _) in OPTIONS.items() for word in (name, *values)]
    ran = windvane(
        "train", "dqn", "--data", market, "--bars", "30m", "--max-rejected", "5", *words, "--out", tmp_path
    )
    assert refusal(ran).startswith("m.parquet has "), "half as many bars are too few"
    ran = windvane("train", "dqn", "--data", market, *words, "--out", tmp_path / "out")
    assert ran.code == 0, ran.err
    told = story(tmp_path / "out")
    for name, (_, path, wanted) in OPTIONS.items():
        at: Any = told
        for part in path:
            at = at[part]
        assert at == wanted, name
    assert "m.parquet" in told["data"]


def test_simulated_markets_are_those_asked_for(tmp_path: Path) -> None:
    words = ("--simulated", "--market", "hard", "--markets", "2", "--ticks", "210", "--steps", "320", *FAST)
    assert windvane("train", "ppo", *words, "--out", tmp_path).code == 0
    assert story(tmp_path)["data"].startswith("SIMULATED market hard: 2 seeds from 50000")
    assert "210 ticks each" in story(tmp_path)["data"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "give one of --simulated and --data FILE"),
        (("--simulated", "--data", "x.csv"), "give one of"),
        (("--simulated", "--bars", "1h"), "--bars would have no effect on simulated markets"),
        (("--simulated", "--folds", "2"), "--folds would have no effect on simulated markets"),
        (("--data", "x.csv", "--markets", "3"), "--markets would have no effect on a file"),
        (("--simulated", "--market", "bull"), "give one of standard"),
        (("--simulated", "--markets", "0"), "--markets is 0"),
        (("--simulated", "--ticks", "10"), "--ticks is 10"),
        (("--simulated", "--steps", "0"), "--steps is 0"),
        (("--simulated", "--reward", "luck"), "give one of profit"),
        (("--simulated", "--fee-bp", "-1"), "fee_bp"),
        (("--simulated", "--set", "rat=1"), "did you mean 'rate'"),
        (("--simulated", "--configuration", "D3QN"), "leave it out"),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    assert said in refusal(windvane("train", "ppo", *words, "--out", tmp_path / "out"))


def test_another_training_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    assert windvane("train", "ppo", *TINY, *FAST, "--out", tmp_path).code == 0
    ran = windvane("train", "ppo", *TINY, *FAST, "--seed", "9", "--out", tmp_path)
    assert ran.code == 2
    assert "seed: 0 there, 9 here" in ran.err
    state = next((tmp_path / "checkpoint").glob("state-*"))
    state.write_bytes(state.read_bytes()[:-1])
    ran = windvane("train", "ppo", *TINY, *FAST, "--out", tmp_path)
    assert ran.code == 2
    assert "is not what checkpoint.json names" in ran.err


def test_folds_are_trained_one_after_the_other_and_the_last_one_is_written(tmp_path: Path) -> None:
    market = tmp_path / "m.parquet"
    simulated(market, 2_600)
    words = ("train", "ppo", "--data", market, "--steps", "640", "--every", "320", *FAST)
    ran = windvane(*words, "--folds", "2", "--out", tmp_path / "two")
    assert ran.code == 0, ran.err
    assert "mean profit of 2 test parts: policy " in ran.err
    trained = json.loads((tmp_path / "two" / "policy.json").read_bytes())["trained"]
    walk = trained["metrics"]["walk_forward"]
    first, last = walk["folds"]
    assert (first["data"], last["data"]) == tuple(parts.about for parts in file_parts(market, None, folds=2))
    assert last == {"data": trained["data"], **trained["metrics"]["test"]}
    for name, mean in walk["mean_profit"].items():
        assert mean == pytest.approx((first[name]["profit"] + last[name]["profit"]) / 2), name
    assert set(walk["mean_profit"]) == {"policy", "buy_and_hold", "best_rule"}
    assert {path.name for path in (tmp_path / "two" / "events").iterdir()} == {"fold-1", "fold-2"}
    other = windvane(*words, "--out", tmp_path / "two")
    assert other.code == 2
    assert "fold 2 of 2 there" in other.err


def ctrl_c_and_again(words: tuple[Any, ...], begun: str, folder: Path) -> None:
    """Stop a training once its checkpoint says what `begun` is, go on, and compare with one that nobody stopped."""
    whole, parted = folder / "whole", folder / "parted"
    assert windvane("train", "ppo", *words, "--out", whole).code == 0
    code = "import sys; from windvane.infra.cli.main import main; sys.argv = sys.argv[1:]; main()"
    command = [sys.executable, "-c", code, "windvane", "train", "ppo", *map(str, words), "--out", str(parted)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    checkpoint, deadline = parted / "checkpoint" / "checkpoint.json", time.monotonic() + 120.0
    while time.monotonic() < deadline and not (checkpoint.is_file() and begun in checkpoint.read_text()):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    if process.returncode == 130:
        assert "the same command goes on from there" in said
        assert windvane("train", "ppo", *words, "--out", parted).code == 0
    for name in ("policy.json", "weights.safetensors"):
        assert (parted / name).read_bytes() == (whole / name).read_bytes()
    assert process.returncode == 130, "the training was over before it could be stopped"


LONG = ("--steps", "40000", "--every", "4000", *FAST)


def test_ctrl_c_leaves_a_checkpoint_and_the_same_command_ends_the_same(tmp_path: Path) -> None:
    ctrl_c_and_again(("--simulated", "--markets", "1", "--ticks", "200", *LONG), "steps", tmp_path)


def test_ctrl_c_in_a_later_fold_keeps_what_the_earlier_ones_came_to(tmp_path: Path) -> None:
    market = tmp_path / "m.parquet"
    simulated(market, 2_600)
    ctrl_c_and_again(("--data", market, "--folds", "2", *LONG), '"past"', tmp_path)
