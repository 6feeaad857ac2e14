"""Policies of Stable-Baselines3, DQN and PPO with MlpPolicy, as plain layers.

`model.save` writes a zip with `policy.pth`, which torch saved, and `data`, a JSON whose objects are pickles with a few
plain words about them. Of `data` those words alone are read, and `policy.pth` by `windvane.infra.policies.state_dict`
in a process of its own: nothing is unpickled here.
"""

import importlib.util
import io
import json
import os
import re
import subprocess
import sys
import zipfile
import zlib
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from windvane.agents.learned.settings import LearnedError
from windvane.agents.learned.transitions import ACTIVATIONS, Layers
from windvane.infra.policies.folder import MOST_WEIGHTS
from windvane.infra.policies.network import Network, check_file, checked, shown
from windvane.metamodel.base import weights

REFUSED = 3
"""Exit code of the process that reads tensors, where its stderr is one sentence about them."""

_SECONDS = 300.0  # of which torch takes most until it is imported, on a disk that is slow
_MOST = {"data": 2**24, "policy.pth": MOST_WEIGHTS, "_stable_baselines3_version": 100}
"""The members that are read, and their bytes at most."""

_NO_TENSORS = (
    "its policy.pth has other things than tensors, or is damaged, and is not read: give what model.save wrote"
)

_HARMLESS = {
    ":type:",
    ":serialized:",
    "activation_fn",
    "net_arch",
    "optimizer_class",
    "optimizer_kwargs",
    "ortho_init",
}
"""Words of policy_kwargs that change no answer beyond what the tensors and the activation say."""


class _Kind(NamedTuple):
    """Where an algorithm's policy keeps what decides its actions."""

    algorithm: str
    numbered: str  # layers 0, 2, 4 ...; activations stand between
    last: tuple[str, ...]  # the layer behind them, where it has a name of its own
    unused: tuple[str, ...]  # how tensors begin that decide nothing


_KINDS = {
    "stable_baselines3.dqn.policies": _Kind("dqn", "q_net.q_net", (), ("q_net_target.",)),
    "stable_baselines3.common.policies": _Kind(
        "ppo", "mlp_extractor.policy_net", ("action_net",), ("mlp_extractor.value_net.", "value_net.")
    ),
}
"""By the module that a policy's class lies in."""


def read_sb3(path: Path, activation: str | None) -> Network:
    """Read a policy; activation: of its hidden layers, "relu" or "tanh", None where the file has to say it.

    Raises a LearnedError that names the file where it is no DQN or PPO with three discrete actions and MlpPolicy, is
    larger than such a policy, or does not say its activation.
    """
    try:
        check_file(path)
        return _read(path, activation)
    except LearnedError as error:
        raise LearnedError(f"zip {path}: {error}") from error


def _read(path: Path, activation: str | None) -> Network:
    members = _members(path)
    said = _said(members["data"])
    kind = _kind_of(said)
    activation = _activation(_words(said, "policy_kwargs"), activation, kind)
    width = _width(said)
    layers = _layers(_tensors(members["policy.pth"]), kind, activation)
    if len(layers.weights[0]) != width:
        raise LearnedError(
            f"its states have {width} numbers, and its layers read {len(layers.weights[0])}: save it again"
        )
    version = re.sub(r"[^\w.+-]", "", members["_stable_baselines3_version"].decode("ascii", "replace"))
    return Network(
        layers,
        kind.algorithm,
        f"{kind.algorithm.upper()} of Stable-Baselines3 {version}",
        steps=_whole(said.get("num_timesteps")),
        seed=_whole(said.get("seed")),
    )


def _members(path: Path) -> dict[str, bytes]:
    """The members that are read; raises LearnedError where one is missing, stands twice, is damaged or too large."""
    with path.open("rb") as file:
        try:
            archive = zipfile.ZipFile(file)
            there = Counter(archive.namelist())
            members = {name: _start(archive, name) for name in _MOST if there[name] == 1}
        except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, ValueError, OSError) as error:
            raise LearnedError("it is no zip, or damaged: give what model.save wrote") from error
    for name, most in _MOST.items():
        if name not in members:
            raise LearnedError(f"it has {there[name]} members {name}: give what model.save wrote")
        if len(members[name]) > most:
            raise LearnedError(f"its {name} has more than {most:,} bytes: give what model.save wrote")
    return members


def _start(archive: zipfile.ZipFile, name: str) -> bytes:
    """A member, or one byte more than it may have, whatever the zip says of its size."""
    if archive.getinfo(name).compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise zipfile.BadZipFile(name)
    with archive.open(name) as member:
        return member.read(_MOST[name] + 1)


def _said(raw: bytes) -> dict[str, Any]:
    """What `data` says, with its pickles as texts that nobody decodes."""
    try:
        said = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise LearnedError("its data is no JSON: give what model.save wrote") from error
    if not isinstance(said, dict):
        raise LearnedError("its data is no object: give what model.save wrote")
    return said


def _words(said: dict[str, Any], name: str) -> dict[str, Any]:
    """The plain words about an object of `data`, none where there is no such object."""
    value = said.get(name)
    return value if isinstance(value, dict) else {}


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and 0 <= value < 2**53 else 0


def _kind_of(said: dict[str, Any]) -> _Kind:
    home = _words(said, "policy_class").get("__module__")
    kind = _KINDS.get(str(home))
    if kind is None or (kind.algorithm == "ppo" and "clip_range" not in said):
        where = f"a policy of {shown(home)}" if kind is None else "no clip_range, which PPO has"
        raise LearnedError(f"it has {where}: give DQN or PPO with MlpPolicy, or export its network as ONNX")
    return kind


def _activation(words: dict[str, Any], given: str | None, kind: _Kind) -> str:
    """The activation that the words about policy_kwargs name, else the one that is given."""
    odd = sorted(words.keys() - _HARMLESS)
    if odd:
        raise LearnedError(
            f"its policy_kwargs have {shown(odd[0])}: give plain layers, or export its network as ONNX"
        )
    said = re.sub(
        r"<class 'torch\.nn\.modules\.activation\.(\w+)'>", r"\1", str(words.get("activation_fn", ""))
    )
    if said == "":
        if given is None:
            usual = "relu" if kind.algorithm == "dqn" else "tanh"
            raise LearnedError(
                f"it does not say its activation: give --activation relu or tanh ({usual} unless somebody changed it)"
            )
        return given
    name = said.lower()
    if name not in ACTIVATIONS:
        raise LearnedError(f"its activation is {shown(said)}: give a network of {' or '.join(ACTIVATIONS)}")
    if given not in (None, name):
        raise LearnedError(f"it says that its activation is {name}: leave --activation out")
    return name


def _width(said: dict[str, Any]) -> int:
    """Numbers of a state; raises LearnedError where states are no row of them, or actions not 0, 1 and 2."""
    actions, states = _words(said, "action_space"), _words(said, "observation_space")
    discrete = str(actions.get(":type:")).endswith(".discrete.Discrete'>")
    if not discrete or str(actions.get("start", 0)) != "0":
        raise LearnedError("its actions are not 0, 1 and 2: give one of Discrete(3)")
    box = str(states.get(":type:")).endswith(".box.Box'>")
    shape = re.findall(r"\d{1,9}", str(states.get("_shape")))
    if not box or len(shape) != 1:
        raise LearnedError("its states are no row of numbers: give one of a Box of one dimension")
    return int(shape[0])


def _tensors(raw: bytes) -> dict[str, np.ndarray]:
    """The tensors of `policy.pth`, as a process of its own reads them; raises LearnedError where it cannot."""
    if importlib.util.find_spec("torch") is None:
        raise LearnedError("it is read with torch: pip install 'windvane[train]'")
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError) as error:
        raise LearnedError(_NO_TENSORS) from error
    packed = any(member.compress_type != zipfile.ZIP_STORED for member in members)
    if packed or sum(member.file_size for member in members) > MOST_WEIGHTS:
        raise LearnedError(_NO_TENSORS)
    env = {name: value for name, value in os.environ.items() if not name.startswith("WINDVANE_")}
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "windvane.infra.policies.state_dict"],
            input=raw,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
            env={**env, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
    except subprocess.TimeoutExpired as error:
        raise LearnedError(
            f"its policy.pth was not read in {_SECONDS:g} seconds: give what model.save wrote"
        ) from error
    if done.returncode == REFUSED:
        why = done.stderr.decode().splitlines()[-1]
        raise LearnedError(f"its policy.pth cannot be used ({why}): give DQN or PPO with MlpPolicy")
    if done.returncode != 0:
        raise LearnedError(_NO_TENSORS)
    return weights.from_bytes(done.stdout).tensors


def _layers(tensors: dict[str, np.ndarray], kind: _Kind, activation: str) -> Layers:
    """The layers that decide an action; raises LearnedError where a policy has others beside them."""
    names = {name for name in tensors if not name.startswith(kind.unused)}
    count = len(names) // 2 - len(kind.last)
    layers = [*(f"{kind.numbered}.{2 * i}" for i in range(count)), *kind.last]
    odd = sorted(names ^ {f"{layer}.{part}" for layer in layers for part in ("weight", "bias")})
    if odd:
        raise LearnedError(f"its policy.pth is of no MlpPolicy, by its {odd[0]}: export its network as ONNX")
    return checked(
        [tensors[f"{layer}.weight"].T for layer in layers],
        [tensors[f"{layer}.bias"] for layer in layers],
        activation,
    )
