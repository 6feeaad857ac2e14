"""`windvane agents convert`: what a network of others says is what its policy does, and nothing is guessed."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install 'windvane[train]'")
pytest.importorskip("torch", reason="torch is not installed: pip install 'windvane[train]'")

from cli_harness import refusal, windvane  # noqa: E402
from foreign import TANH, by_formulas, onnx_file, perceptron, sb3_zip  # noqa: E402

from some_policy import layers  # noqa: E402
from windvane.agents.learned.policy import LearnedPolicy  # noqa: E402
from windvane.infra.policies.folder import load_policy  # noqa: E402
from windvane.metamodel.features.columns import NAMES  # noqa: E402
from windvane.metamodel.features.scaler import FeatureScaler  # noqa: E402

NET = layers((51, 16, 8, 3), 0, 5)
X = 3.0 * np.random.Generator(np.random.PCG64(3)).standard_normal((64, 50))
POSITION = np.arange(64) % 3 - 1.0
ALL = {"--raw": None, "--actions": "target", "--max-position": "1"}


def words(given: dict[str, str | None]) -> list[str]:
    """Options as they are typed; None: a switch, "": left out."""
    return [
        word for name, value in given.items() if value != "" for word in (name, value) if word is not None
    ]


def converted(file: Path, **changes: Any) -> LearnedPolicy:
    """The policy that a command makes of a file; changes: of its options, by their names with _ for -."""
    options = ALL | {f"--{name.replace('_', '-')}": value for name, value in changes.items()}
    out = file.parent / "out"
    ran = windvane("agents", "convert", file, "--out", out, *words(options))
    assert ran.code == 0, ran.err
    assert f"wrote policy.json and weights.safetensors to {out}" in ran.err
    policy = load_policy(out)
    assert isinstance(policy, LearnedPolicy)
    return policy


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """An ONNX file of NET."""
    return onnx_file(tmp_path / "net.onnx", perceptron(NET))


def close(policy: LearnedPolicy, states: np.ndarray, activation: str = "relu") -> None:
    """A policy says what NET says of states (64, 51), to 1e-5."""
    wanted = by_formulas(NET, activation, states)
    np.testing.assert_allclose(policy.values(X, POSITION), wanted, rtol=0, atol=1e-5)


def test_of_an_onnx_file(network: Path) -> None:
    policy = converted(network, algorithm="rainbow")
    close(policy, np.c_[X, POSITION])
    form = policy.form
    assert (form.algorithm, form.features, form.sees_position, form.warmup) == ("rainbow", NAMES, True, 512)
    assert (form.hidden, form.activation, form.actions, form.max_position) == ((16, 8), "relu", "target", 1.0)
    assert form.trained.data.startswith("not known: converted from net.onnx (sha256 ")
    assert form.trained.data.endswith("), an ONNX network")


def test_onnx_s_own_evaluator_says_the_same(tmp_path: Path) -> None:
    """The reference implementation of the standard, on a network of tanh."""
    whole = perceptron(NET, "Tanh", gemm=False)
    policy = converted(onnx_file(tmp_path / "net.onnx", whole), algorithm="ppo")
    from onnx.reference import ReferenceEvaluator

    states = np.c_[X, POSITION].astype(np.float32)
    (wanted,) = ReferenceEvaluator(whole).run(None, {"x": states})
    np.testing.assert_allclose(policy.values(X, POSITION), wanted, rtol=0, atol=1e-5)
    close(policy, states, "tanh")


@pytest.mark.parametrize("algorithm", ["dqn", "ppo"])
def test_of_a_zip_of_stable_baselines3(tmp_path: Path, algorithm: str) -> None:
    file, _ = sb3_zip(tmp_path / "net.zip", algorithm)
    policy = converted(file, activation="tanh")
    close(policy, np.c_[X, POSITION], "tanh")
    trained = policy.form.trained
    assert (policy.form.algorithm, trained.steps, trained.seed) == (algorithm, 320, 4)
    assert trained.data.endswith(f"), {algorithm.upper()} of Stable-Baselines3 2.9.2")


def test_scaled_features_are_those_of_the_shipped_scaler(network: Path) -> None:
    policy = converted(network, algorithm="dqn", raw="", scaled=None)
    close(policy, np.c_[FeatureScaler().scale(X), POSITION])


def test_raw_features_are_clipped_where_the_market_s_are(network: Path) -> None:
    policy = converted(network, algorithm="dqn")
    assert (policy.form.clip, set(policy.form.centre), set(policy.form.spread)) == (20.0, {0.0}, {1.0})


def test_inputs_may_be_named(tmp_path: Path) -> None:
    for names in (("trend_32", "day_sin", "position"), ("day_sin", "trend_32")):
        place = tmp_path / str(len(names))
        place.mkdir()
        net = layers((len(names), 6, 3), 0, 1)
        file = onnx_file(place / "net.onnx", perceptron(net))
        policy = converted(file, algorithm="ppo", features=",".join(names))
        columns = [X[:, NAMES.index(name)] if name != "position" else POSITION for name in names]
        wanted = by_formulas(net, "relu", np.stack(columns, axis=1))
        np.testing.assert_allclose(policy.values(X, POSITION), wanted, rtol=0, atol=1e-5)
        assert policy.form.sees_position == ("position" in names)


def test_fifty_inputs_are_the_features_alone(tmp_path: Path) -> None:
    net = layers((50, 6, 3), 0, 1)
    policy = converted(onnx_file(tmp_path / "net.onnx", perceptron(net)), algorithm="ppo")
    assert (policy.form.features, policy.form.sees_position) == (NAMES, False)
    np.testing.assert_allclose(policy.values(X, POSITION), by_formulas(net, "relu", X), rtol=0, atol=1e-5)


def test_outputs_may_have_another_order(network: Path) -> None:
    policy = converted(network, algorithm="dqn", mapping="0,1,-1")
    wanted = by_formulas(NET, "relu", np.c_[X, POSITION])[:, [2, 0, 1]]
    np.testing.assert_allclose(policy.values(X, POSITION), wanted, rtol=0, atol=1e-5)


def test_actions_and_the_largest_position_are_what_is_said(network: Path) -> None:
    form = converted(network, algorithm="dqn", actions="trade", max_position="0.25").form
    assert (form.actions, form.max_position) == ("trade", 0.25)


REFUSED: dict[str, tuple[dict[str, str | None], str]] = {
    "no scaling": ({"--raw": ""}, "give one of --scaled"),
    "two scalings": ({"--scaled": None}, "give one of --scaled"),
    "no meaning of actions": ({"--actions": ""}, "give --actions trade"),
    "an unknown meaning": ({"--actions": "all"}, "give --actions trade"),
    "no largest position": ({"--max-position": ""}, "give --max-position above 0, up to 1"),
    "more than capital": ({"--max-position": "2"}, "give --max-position above 0, up to 1"),
    "no algorithm": ({"--algorithm": ""}, "give --algorithm, one of dqn, ppo, rainbow"),
    "an unknown algorithm": ({"--algorithm": "sac"}, "give --algorithm, one of dqn, ppo, rainbow"),
    "an activation that the file says": ({"--activation": "tanh"}, "--activation would have no effect on an"),
    "too few inputs": ({"--features": "trend_8"}, "reads 51 numbers, and --features names 1"),
    "an unknown input": ({"--features": "trend_9"}, "unknown name in --features 'trend_9': did you mean"),
    "an input twice": ({"--features": ",".join(["trend_8"] * 51)}, "a feature stands twice"),
    "the position first": (
        {"--features": ",".join(["position", *NAMES])},
        "--features has position before other inputs",
    ),
    "a mapping of two": ({"--mapping": "-1,1"}, "give -1, 0 and 1, each once"),
    "a mapping twice": ({"--mapping": "0,0,1"}, "give -1, 0 and 1, each once"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_missing_or_wrong_is_refused_and_nothing_is_written(network: Path, what: str) -> None:
    changes, sentence = REFUSED[what]
    options = words(ALL | {"--algorithm": "dqn"} | changes)
    ran = windvane("agents", "convert", network, "--out", network.parent / "out", *options)
    assert sentence in refusal(ran)
    assert [each.name for each in network.parent.iterdir()] == ["net.onnx"]


def test_other_widths_have_to_be_named(tmp_path: Path) -> None:
    for width in (12, 52):
        file = onnx_file(tmp_path / "net.onnx", perceptron(layers((width, 6, 3), 0, 1)))
        options = words(ALL | {"--algorithm": "dqn"})
        said = refusal(windvane("agents", "convert", file, "--out", tmp_path / "out", *options))
        assert f"the network reads {width} numbers, and --features names 0: name each in order" in said


def test_options_of_a_zip(tmp_path: Path) -> None:
    file, _ = sb3_zip(tmp_path / "net.zip", policy_kwargs={"activation_fn": TANH})
    run = ("agents", "convert", file, "--out", tmp_path / "out", *words(ALL))
    assert "--algorithm would have no effect on a zip" in refusal(windvane(*run, "--algorithm", "dqn"))
    assert "--activation is 'gelu': give one of relu, tanh" in refusal(windvane(*run, "--activation", "gelu"))
    assert "leave --activation out" in refusal(windvane(*run, "--activation", "relu"))
    assert not (tmp_path / "out").exists()


def test_numbers_that_are_none_are_refused(tmp_path: Path) -> None:
    bad = layers((51, 16, 8, 3), 0, 5)
    bad.biases[0][3] = np.nan
    file = onnx_file(tmp_path / "net.onnx", perceptron(bad))
    options = words(ALL | {"--algorithm": "dqn"})
    said = refusal(windvane("agents", "convert", file, "--out", tmp_path / "out", *options))
    assert "its layer0.bias has a number that is NaN" in said
    assert not (tmp_path / "out").exists()


def test_a_policy_that_is_there_stays(network: Path) -> None:
    converted(network, algorithm="dqn")
    out = network.parent / "out"
    before = (out / "policy.json").read_bytes()
    options = words(ALL | {"--algorithm": "ppo"})
    said = refusal(windvane("agents", "convert", network, "--out", out, *options))
    assert said == f"{out} has a policy already: give another --out"
    assert (out / "policy.json").read_bytes() == before


def test_it_is_served_without_the_libraries_of_others_and_keeps_every_law(network: Path) -> None:
    converted(network, algorithm="dqn")
    out = network.parent / "out"
    code = f"""
import sys
sys.modules["torch"] = sys.modules["onnx"] = None
from windvane import create_agents
create_agents(["mine={out}"])
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert json.loads((out / "policy.json").read_bytes())["mapping"] == [-1, 0, 1]
    ran = windvane("agents", "check", f"mine={out}")
    assert ran.code == 0, ran.out + ran.err
