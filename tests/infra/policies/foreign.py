"""Networks as other libraries write them: zips in the layout of Stable-Baselines3 2.9.2, and ONNX files."""

import base64
import io
import json
import pickle  # noqa: TID251 (to write what must never be read)
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from some_policy import layers
from windvane.agents.learned.transitions import Layers

RELU, TANH = (f"<class 'torch.nn.modules.activation.{name}'>" for name in ("ReLU", "Tanh"))


class Trap:
    """A pickle that writes a file, wherever it is read."""

    def __init__(self, written: Path) -> None:
        self.written = written

    def __reduce__(self) -> tuple[Any, ...]:
        return shutil.copyfile, (__file__, str(self.written))


def pickled(trap: Trap | None) -> dict[str, str]:
    return {":serialized:": base64.b64encode(pickle.dumps(trap)).decode()}


def said(algorithm: str, width: int, trap: Trap | None = None, **changes: Any) -> dict[str, Any]:
    """What `data` says, its pickles being traps."""
    home = {"dqn": "stable_baselines3.dqn.policies", "ppo": "stable_baselines3.common.policies"}[algorithm]
    of_ppo = {"clip_range": {":type:": "<class 'function'>"}} if algorithm == "ppo" else {}
    return (
        {
            "policy_class": {":type:": "<class 'abc.ABCMeta'>", "__module__": home, **pickled(trap)},
            "policy_kwargs": {},
            "num_timesteps": 320,
            "seed": 4,
            "observation_space": {
                ":type:": "<class 'gymnasium.spaces.box.Box'>",
                "dtype": "float32",
                "_shape": f"[{width}]",
                **pickled(trap),
            },
            "action_space": {
                ":type:": "<class 'gymnasium.spaces.discrete.Discrete'>",
                "n": "3",
                "start": "0",
                **pickled(trap),
            },
        }
        | of_ppo
        | changes
    )


def state_dict(algorithm: str, net: Layers) -> dict[str, torch.Tensor]:
    """The tensors of a policy whose actor or Q network is `net`, and whose other network is another one."""
    pairs = list(zip(net.weights, net.biases, strict=True))
    names = [2 * i for i in range(len(pairs))]
    if algorithm == "dqn":
        actor = [f"q_net.q_net.{i}" for i in names]
        others = [f"q_net_target.q_net.{i}" for i in names]
    else:
        actor = [*(f"mlp_extractor.policy_net.{i}" for i in names[:-1]), "action_net"]
        others = [*(f"mlp_extractor.value_net.{i}" for i in names[:-1]), "value_net"]
    state = {}
    for (weight, bias), name, other in zip(pairs, actor, others, strict=True):
        tensors = torch.from_numpy(weight.T.copy()), torch.from_numpy(bias)
        state |= {f"{name}.{part}": tensor for part, tensor in zip(("weight", "bias"), tensors, strict=True)}
        state |= {
            f"{other}.{part}": tensor + 1.0 for part, tensor in zip(("weight", "bias"), tensors, strict=True)
        }
    return state


def saved(value: Any) -> bytes:
    out = io.BytesIO()
    torch.save(value, out)
    return out.getvalue()


def write_zip(path: Path, words: Mapping[str, Any], policy: bytes, **members: bytes) -> Path:
    """What `model.save` writes."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, raw in {
            "data": json.dumps(words).encode(),
            "pytorch_variables.pth": b"",
            "policy.pth": policy,
            "policy.optimizer.pth": b"",
            "_stable_baselines3_version": b"2.9.2",
            "system_info.txt": b"- Python: 3.11\n",
            **members,
        }.items():
            archive.writestr(name, raw)
    return path


def sb3_zip(
    path: Path, algorithm: str = "dqn", sizes: tuple[int, ...] = (51, 16, 8, 3), **changes: Any
) -> tuple[Path, Layers]:
    """A zip of a policy, and the layers that decide its actions; changes: of what `data` says."""
    net = layers(sizes, 0, 5)
    policy = saved(state_dict(algorithm, net))
    return write_zip(path, said(algorithm, sizes[0], **changes), policy), net


def weights_of(**tensors: np.ndarray) -> list[onnx.TensorProto]:
    return [numpy_helper.from_array(value, name) for name, value in tensors.items()]


def perceptron(net: Layers, activation: str = "Relu", gemm: bool = True) -> onnx.ModelProto:
    """A network as exporters write it: of Gemm with weights (outputs, inputs), or of MatMul and Add."""
    nodes, tensors, at = [], [], "x"
    for i, (weight, bias) in enumerate(zip(net.weights, net.biases, strict=True)):
        if i:
            nodes.append(helper.make_node(activation, [at], [f"a{i}"]))
            at = f"a{i}"
        out = "y" if i == len(net.weights) - 1 else f"h{i}"
        if gemm:
            nodes.append(helper.make_node("Gemm", [at, f"w{i}", f"b{i}"], [out], transB=1))
            tensors += weights_of(**{f"w{i}": weight.T.copy(), f"b{i}": bias})
        else:
            nodes.append(helper.make_node("MatMul", [at, f"w{i}"], [f"m{i}"]))
            nodes.append(helper.make_node("Add", [f"b{i}", f"m{i}"], [out]))
            tensors += weights_of(**{f"w{i}": weight, f"b{i}": bias[None, :]})
        at = out
    return model(nodes, tensors, width=len(net.weights[0]))


def model(
    nodes: Sequence[onnx.NodeProto],
    tensors: Sequence[onnx.TensorProto],
    width: int = 51,
    inputs: Sequence[str] = ("x",),
    outputs: Sequence[str] = ("y",),
    **more: Any,
) -> onnx.ModelProto:
    def values(names: Sequence[str], size: int) -> list[onnx.ValueInfoProto]:
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", size]) for name in names]

    graph = helper.make_graph(nodes, "policy", values(inputs, width), values(outputs, 3), tensors, **more)
    return helper.make_model(graph)


def onnx_file(path: Path, whole: onnx.ModelProto) -> Path:
    path.write_bytes(whole.SerializeToString())
    return path


def by_formulas(net: Layers, activation: str, x: np.ndarray) -> np.ndarray:
    """What layers say of states (n, D), in float64."""
    activated = {"relu": lambda h: np.maximum(h, 0.0), "tanh": np.tanh}[activation]
    h = x.astype(np.float64)
    for i, (weight, bias) in enumerate(zip(net.weights, net.biases, strict=True)):
        h = (activated(h) if i else h) @ weight.astype(np.float64) + bias
    return h
