"""Zips of Stable-Baselines3: the layers that decide are read, what is said plainly is believed, no pickle is read."""

import io
import json
import os
import pickle  # noqa: TID251 (to write what must never be read)
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'windvane[train]'")
pytest.importorskip("onnx", reason="onnx is not installed: pip install 'windvane[train]'")

from foreign import RELU, TANH, Trap, said, saved, sb3_zip, state_dict, write_zip  # noqa: E402

from some_policy import layers  # noqa: E402
from windvane.agents.learned.settings import LearnedError  # noqa: E402
from windvane.infra.policies.sb3_zip import read_sb3  # noqa: E402
from windvane.infra.policies.state_dict import plain_tensors  # noqa: E402

NET = layers((51, 16, 8, 3), 0, 5)


def kwargs(**words: str) -> dict[str, str]:
    """policy_kwargs with a class in them, as `data` has them."""
    return {":type:": "<class 'dict'>", ":serialized:": "gAWVNgAAAA==", "net_arch": "[16, 8]", **words}


@pytest.mark.parametrize("algorithm", ["dqn", "ppo"])
def test_the_layers_that_decide_are_read(
    tmp_path: Path, algorithm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every object of `data` is a pickle that would write a file."""
    written = tmp_path / "written"
    (tmp_path / "torch.py").write_text("raise SystemExit('a module of the folder that a zip was saved into')")
    monkeypatch.chdir(tmp_path)
    path, net = sb3_zip(tmp_path / "a.zip", algorithm, trap=Trap(written))
    read = read_sb3(path, "tanh")
    assert not written.exists()
    assert (read.algorithm, read.layers.activation) == (algorithm, "tanh")
    assert (read.about, read.steps, read.seed) == (f"{algorithm.upper()} of Stable-Baselines3 2.9.2", 320, 4)
    for ours, theirs in ((read.layers.weights, net.weights), (read.layers.biases, net.biases)):
        assert [each.tobytes() for each in ours] == [each.tobytes() for each in theirs]


@pytest.mark.parametrize(("word", "name"), [(RELU, "relu"), (TANH, "tanh")])
def test_an_activation_that_is_said_is_believed(tmp_path: Path, word: str, name: str) -> None:
    path, _ = sb3_zip(
        tmp_path / "a.zip", policy_kwargs=kwargs(activation_fn=word), seed=None, num_timesteps=2**64
    )
    read = read_sb3(path, name if name == "tanh" else None)
    assert (read.layers.activation, read.seed, read.steps) == (name, 0, 0)
    with pytest.raises(LearnedError, match=f"it says that its activation is {name}: leave --activation out"):
        read_sb3(path, {"relu": "tanh", "tanh": "relu"}[name])


def refused(path: Path, what: str, activation: str | None = "relu") -> None:
    with pytest.raises(LearnedError, match=what) as error:
        read_sb3(path, activation)
    sentence = str(error.value)
    assert sentence.startswith(f"zip {path}: ")
    assert sentence.isprintable()
    assert ": " in sentence.removeprefix(f"zip {path}: "), "what is wrong: what to do"


WORDS: dict[str, tuple[dict[str, Any], str]] = {
    "another activation": (
        {"policy_kwargs": kwargs(activation_fn=RELU.replace("ReLU", "GELU"))},
        "its activation is 'GELU': give a network of relu or tanh",
    ),
    "an activation of somebody's": (
        {"policy_kwargs": kwargs(activation_fn="<class 'mine.ReLU'>")},
        "its activation is \"<class 'mine.ReLU'>\"",
    ),
    "an extractor": (
        {"policy_kwargs": kwargs(features_extractor_class="<class 'mine.Extractor'>")},
        "have 'features_extractor_class'",
    ),
    "a policy of somebody's": (
        {"policy_class": {":type:": "<class 'abc.ABCMeta'>", "__module__": "mine"}},
        "a policy of 'mine': give DQN or PPO with MlpPolicy",
    ),
    "no policy": ({"policy_class": None}, "a policy of None"),
    "A2C": ({"policy_class": {"__module__": "stable_baselines3.common.policies"}}, "no clip_range"),
    "actions from 1 on": (
        {"action_space": {":type:": "<class 'gymnasium.spaces.discrete.Discrete'>", "n": "3", "start": "1"}},
        r"its actions are not 0, 1 and 2: give one of Discrete\(3\)",
    ),
    "a box of actions": (
        {"action_space": {":type:": "<class 'gymnasium.spaces.box.Box'>"}},
        "its actions are not",
    ),
    "frames": (
        {"observation_space": {":type:": "<class 'gymnasium.spaces.box.Box'>", "_shape": "[3, 17]"}},
        "its states are no row of numbers",
    ),
    "states that are numbered": (
        {"observation_space": {":type:": "<class 'gymnasium.spaces.discrete.Discrete'>", "_shape": "[51]"}},
        "its states are no row",
    ),
}


@pytest.mark.parametrize("what", WORDS)
def test_what_its_words_rule_out_is_refused(tmp_path: Path, what: str) -> None:
    changes, sentence = WORDS[what]
    refused(sb3_zip(tmp_path / "a.zip", **changes)[0], sentence)


@pytest.mark.parametrize(("algorithm", "usual"), [("dqn", "relu"), ("ppo", "tanh")])
def test_an_activation_that_is_not_said_has_to_be_given(tmp_path: Path, algorithm: str, usual: str) -> None:
    path, _ = sb3_zip(tmp_path / "a.zip", algorithm)
    refused(path, rf"give --activation relu or tanh \({usual} unless somebody changed it\)", None)


def with_tensors(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], Path]:
    """A zip of DQN whose tensors are changed."""

    def write(path: Path) -> Path:
        state = state_dict("dqn", NET)
        changed = change(state)
        return write_zip(path, said("dqn", 51), saved(state if changed is None else changed))

    return write


def packed(path: Path) -> Path:
    """A policy.pth whose parts are compressed: a few bytes may become any number of them."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(saved(state_dict("dqn", NET)))) as plain,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name in plain.namelist():
            archive.writestr(name, plain.read(name))
    return write_zip(path, said("dqn", 51), out.getvalue())


def repacked(path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        for name in ("data", "policy.pth", "_stable_baselines3_version"):
            archive.writestr(name, b"{}")
    return path


def encrypted(path: Path) -> Path:
    """Only by its flags, which stand in the central directory, and before each member."""
    raw = bytearray(of()(path).read_bytes())
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = raw.find(mark)
        raw[at + flags] |= 1
    path.write_bytes(raw)
    return path


def bomb(path: Path) -> Path:
    """A few KB that would become a member of more bytes than any policy has."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data", json.dumps(said("dqn", 51)))
        archive.writestr("policy.pth", bytes(2**26 + 1))
        archive.writestr("_stable_baselines3_version", "2.9.2")
    assert path.stat().st_size < 2**17
    return path


class Hog:
    """8 GB by a few bytes, of a kind that torch reads."""

    def __reduce__(self) -> tuple[Any, ...]:
        return bytearray, (2**33,)


def of(**members: bytes) -> Callable[[Path], Path]:
    return lambda path: write_zip(path, said("dqn", 51), saved(state_dict("dqn", NET)), **members)


def twice(path: Path) -> Path:
    of()(path)
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("policy.pth", b"another")
    return path


def turned(path: Path) -> Path:
    raw = bytearray(of()(path).read_bytes())
    raw[raw.index(b"archive/data/0") + 200] ^= 1
    path.write_bytes(raw)
    return path


NO_TENSORS = "has other things than tensors, or is damaged, and is not read"
FILES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "nothing": (lambda path: path, "is no file"),
    "no zip": (lambda path: (path.write_bytes(b"PK\x03\x04" * 9) and path) or path, "is no zip, or damaged"),
    "a missing member": (lambda path: sb3_lacking(path, "policy.pth"), "it has 0 members policy.pth"),
    "a member twice": (twice, "it has 2 members policy.pth"),
    "a byte turned over": (turned, "is no zip, or damaged"),
    "a compression that no model.save has": (repacked, "is no zip, or damaged"),
    "a member that is encrypted": (encrypted, "is no zip, or damaged"),
    "a bomb": (bomb, "its policy.pth has more than 67,108,864 bytes"),
    "words that are no JSON": (of(data=b"\x80"), "its data is no JSON"),
    "words without end": (of(data=b"[" * 10**6), "its data is no JSON"),
    "a list of words": (of(data=b"[]"), "its data is no object"),
    "a bare pickle": (of(**{"policy.pth": pickle.dumps({})}), NO_TENSORS),
    "compressed tensors": (packed, NO_TENSORS),
    "more memory than there is": (with_tensors(lambda state: state.update(more=Hog())), NO_TENSORS),
    "a tensor alone": (
        with_tensors(lambda state: torch.zeros(3)),
        "cannot be used .it is no state dict of 1",
    ),
    "a norm": (with_tensors(lambda state: state.update(norm=torch.zeros(3))), "by its norm: export"),
    "a layer that is gone": (
        with_tensors(lambda state: state.pop("q_net.q_net.2.bias") is None or None),
        "is of no MlpPolicy, by its q_net.q_net.2.bias",
    ),
    "layers of another width": (
        lambda path: write_zip(path, said("dqn", 50), saved(state_dict("dqn", NET))),
        "its states have 50 numbers, and its layers read 51",
    ),
    "a bias that does not fit": (
        with_tensors(lambda state: state.update({"q_net.q_net.0.bias": torch.zeros(15)})),
        "a bias",
    ),
}


def sb3_lacking(path: Path, name: str) -> Path:
    with zipfile.ZipFile(of()(path)) as archive:
        rest = {each: archive.read(each) for each in archive.namelist() if each != name}
    with zipfile.ZipFile(path, "w") as archive:
        for each, raw in rest.items():
            archive.writestr(each, raw)
    return path


@pytest.mark.parametrize("what", FILES)
def test_a_zip_that_is_no_policy_is_refused(tmp_path: Path, what: str) -> None:
    write, sentence = FILES[what]
    refused(write(tmp_path / "a.zip"), sentence)


TENSORS: dict[str, tuple[Any, str]] = {
    "a list": ([torch.zeros(1)], "no state dict of 1 to 64 tensors"),
    "none": ({}, "no state dict"),
    "too many": ({str(i): torch.zeros(1) for i in range(65)}, "no state dict of 1 to 64 tensors"),
    "a number": ({"a": 3}, "other things than tensors"),
    "an odd name": ({"a\nb": torch.zeros(1)}, "plain names"),
    "a number as name": ({3: torch.zeros(1)}, "plain names"),
    "float64": ({"a": torch.zeros(3).double()}, "its a is no matrix of float32, of at most 1024 x 1024"),
    "a claim of 4 TB over one number": ({"a": torch.zeros(1).expand(10**6, 10**6)}, "at most 1024 x 1024"),
    "a scalar": ({"a": torch.zeros(())}, "its a is no matrix"),
    "three dimensions": ({"a": torch.zeros(1, 1, 1)}, "its a is no matrix"),
    "nothing in it": ({"a": torch.zeros(0, 3)}, "its a is no matrix"),
    "sparse": ({"a": torch.eye(3).to_sparse()}, "its a is no matrix"),
    "no memory": ({"a": torch.zeros(3, device="meta")}, "its a is no matrix"),
}


@pytest.mark.parametrize("what", TENSORS)
def test_tensors_that_are_no_small_matrices_are_refused(what: str) -> None:
    state, sentence = TENSORS[what]
    with pytest.raises(LearnedError, match=sentence):
        plain_tensors(state)


@pytest.mark.parametrize("where", ["the whole", "a tensor"])
def test_no_pickle_is_ever_read(tmp_path: Path, where: str) -> None:
    """What a trap writes is not there after it, and would be after torch had read it as people do."""
    path, written = tmp_path / "a.zip", tmp_path / "written"
    trap = Trap(written)
    raw = saved(trap if where == "the whole" else state_dict("dqn", NET) | {"more": trap})
    refused(write_zip(path, said("dqn", 51), raw), NO_TENSORS)
    assert not written.exists()
    torch.load(io.BytesIO(raw), weights_only=False)
    assert written.exists(), "the trap is one"


def test_who_converts_loads_no_torch_and_the_process_that_does_knows_no_keys(tmp_path: Path) -> None:
    path, _ = sb3_zip(tmp_path / "a.zip")
    code = f"""
import sys
from pathlib import Path
from windvane.infra.policies import sb3_zip
run, seen = sb3_zip.subprocess.run, []
sb3_zip.subprocess.run = lambda *words, **given: seen.append(given["env"]) or run(*words, **given)
sb3_zip.read_sb3(Path({str(path)!r}), "relu")
assert "torch" not in sys.modules
assert seen and not [name for name in seen[0] if "WINDVANE" in name]
"""
    env = {**os.environ, "WINDVANE_CONTROL_KEY": "0" * 64}
    subprocess.run([sys.executable, "-c", code], check=True, env=env)


def test_without_torch_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = sb3_zip(tmp_path / "a.zip")
    monkeypatch.setitem(sys.modules, "torch", None)
    refused(path, r"it is read with torch: pip install 'windvane\[train\]'")
