"""Policies on disk are data: what was written is read, and whatever else lies there is refused in one sentence."""

import json
import pickle  # noqa: TID251 (to write what must never be read)
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from some_policy import form, layers, policy, rows
from windvane.agents.learned.policy import LearnedPolicy
from windvane.agents.learned.settings import LearnedError
from windvane.agents.policies import NoFolderError
from windvane.infra.policies.folder import FORM, WEIGHTS, load_policy, write_policy
from windvane.metamodel.base import weights

SIZES = (51, 16, 8, 3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_policy(tmp_path / "mine", layers(SIZES, 0, 0), form())
    return tmp_path / "mine"


def test_what_was_written_is_served(folder: Path) -> None:
    one, two = load_policy(folder), policy(0)
    x, price, good = rows(80, 1)
    for ours, theirs in zip(one.propose(x, price, good), two.propose(x, price, good), strict=True):
        assert ours.tobytes() == theirs.tobytes()
    assert (one.name, one.warmup) == ("dqn", 3)
    other = folder.with_name("other")
    write_policy(other, layers(SIZES, 0, 1), form())
    assert load_policy(other).version != one.version, "other weights are another version"


def test_a_form_without_an_activation_has_relu(folder: Path) -> None:
    def said() -> bytes:
        agent = load_policy(folder)
        assert isinstance(agent, LearnedPolicy)
        return agent.values(rows(80, 1)[0], np.zeros(80)).tobytes()

    before = said()
    changed(activation=None)(folder)
    assert said() == before
    changed(activation="tanh")(folder)
    assert said() != before


def test_serving_loads_no_torch(folder: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from windvane.infra.policies.folder import load_policy
load_policy(Path({str(folder)!r}))
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def changed(**given: Any) -> Callable[[Path], object]:
    def change(folder: Path) -> object:
        whole = json.loads((folder / FORM).read_bytes()) | given
        return (folder / FORM).write_text(json.dumps({k: v for k, v in whole.items() if v is not None}))

    return change


def rewritten(tensors: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]) -> Callable[[Path], object]:
    """Other weights, whose checksum is right."""

    def change(folder: Path) -> object:
        raw = weights.to_bytes(tensors(weights.from_bytes((folder / WEIGHTS).read_bytes()).tensors), {})
        (folder / WEIGHTS).write_bytes(raw)
        return changed(weights_sha256=weights.digest(raw))(folder)

    return change


class _Trap:
    """A pickle that would run code."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("raise SystemExit('unpickled')",)


def trapped(folder: Path) -> object:
    (folder / WEIGHTS).unlink()
    return (folder / "model.pt").write_bytes(pickle.dumps(_Trap()))


def trapped_by_name(folder: Path) -> object:
    raw = pickle.dumps(_Trap())
    (folder / WEIGHTS).write_bytes(raw)
    return changed(weights_sha256=weights.digest(raw))(folder)


def huge(folder: Path) -> object:
    """A header that promises more than there is memory."""
    head = json.dumps(
        {"layer0.weight": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}
    ).encode()
    raw = len(head).to_bytes(8, "little") + head
    (folder / WEIGHTS).write_bytes(raw)
    return changed(weights_sha256=weights.digest(raw))(folder)


def sparse(folder: Path) -> object:
    with (folder / WEIGHTS).open("wb") as file:
        return file.truncate(1 << 33)


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "a pickle": (trapped, "model.pt may be a pickle"),
    "a pickle under our name": (trapped_by_name, "cannot be read"),
    "a byte turned over": (
        lambda f: (f / WEIGHTS).write_bytes((f / WEIGHTS).read_bytes()[:-1] + b"\x01"),
        "another checksum",
    ),
    "cut weights": (lambda f: (f / WEIGHTS).write_bytes((f / WEIGHTS).read_bytes()[:99]), "another checksum"),
    "weights that are gone": (lambda f: (f / WEIGHTS).unlink(), "weights.safetensors is missing"),
    "a form that is gone": (lambda f: (f / FORM).unlink(), "policy.json is missing"),
    "a form that is no JSON": (lambda f: (f / FORM).write_bytes(b"\xff{"), "is no JSON"),
    "a form that is a list": (lambda f: (f / FORM).write_bytes(b"[]"), "names no format"),
    "a later format": (changed(format=2), "has format 2, and this release reads 1"),
    "an unknown field": (changed(run_this="import os"), "run_this"),
    "a field that is gone": (changed(clip=None), "clip"),
    "a field of another kind": (changed(warmup="soon"), "warmup"),
    "other features": (changed(features=["tomorrow"] * 50), "stands twice"),
    "a feature that nobody has": (changed(features=["tomorrow"], centre=[0], spread=[1]), "reads tomorrow"),
    "other layers than the weights have": (changed(hidden=[16, 9]), r"policy.json says \[16, 9\]"),
    "units without end": (changed(hidden=[10**12]), "1 to 1024 units"),
    "NaN": (rewritten(lambda t: t | {"layer0.bias": np.full(16, np.nan, np.float32)}), "NaN"),
    "an odd tensor": (rewritten(lambda t: t | {"code": np.zeros(3, np.float32)}), "differ in code"),
    "float64": (rewritten(lambda t: {k: v.astype(np.float64) for k, v in t.items()}), "give float32"),
    "a shape without end": (huge, "cannot be read"),
    "a file without end": (sparse, "more than the"),
}


@pytest.mark.parametrize("what", BAD)
def test_anything_else_is_refused(folder: Path, what: str) -> None:
    spoil, said = BAD[what]
    spoil(folder)
    with pytest.raises(LearnedError, match=said) as error:
        load_policy(folder)
    sentence = str(error.value)
    assert sentence.startswith(f"policy {folder}: ")
    assert "\n" not in sentence
    assert ": " in sentence.removeprefix(f"policy {folder}: "), "what is wrong: what to do"


def test_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoFolderError, match="is no folder"):
        load_policy(tmp_path / "none")


def test_what_cannot_be_served_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="max_position"):
        write_policy(tmp_path / "bad", layers(SIZES, 0, 0), form(max_position=3.0))
    assert not (tmp_path / "bad" / WEIGHTS).exists()
