"""Multi-layer perceptrons in ONNX files, as plain layers (https://onnx.ai/onnx/intro/concepts.html).

A file is data that the library onnx parses; nothing in it is run, and no other file that it names is opened.
"""

from pathlib import Path
from typing import Any

import numpy as np

from windvane.agents.learned.settings import LearnedError
from windvane.agents.learned.transitions import Layers, Singles
from windvane.infra.policies.folder import MOST_WEIGHTS
from windvane.infra.policies.network import check_file, checked, shown

_ATTRIBUTES: dict[str, dict[str, tuple[float, ...]]] = {
    "Gemm": {"alpha": (1,), "beta": (1,), "transA": (0,), "transB": (0, 1)},
    "MatMul": {},
    "Add": {},
    "Relu": {},
    "Tanh": {},
    "Flatten": {"axis": (1,)},
    "Identity": {},
}
"""By operator that is read, its attributes, and the values that each may have."""


def read_onnx(path: Path) -> Layers:
    """Read a network; raises a LearnedError that names the file where it is no multi-layer perceptron."""
    try:
        check_file(path)
        size = path.stat().st_size
        if size > MOST_WEIGHTS:
            raise LearnedError(
                f"it has {size:,} bytes, more than the {MOST_WEIGHTS:,} of any policy: give another file"
            )
        return _layers(*_parsed(path.read_bytes()))
    except LearnedError as error:
        raise LearnedError(f"ONNX file {path}: {error}") from error


def _parsed(raw: bytes) -> tuple[Any, dict[str, Singles]]:
    """The graph of a file and its weights by name; raises LearnedError where it is damaged, or not whole in itself."""
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise LearnedError(f"it is read with onnx ({error}): pip install 'windvane[train]'") from error
    model = onnx.ModelProto()
    try:
        model.ParseFromString(raw)
    except DecodeError as error:
        raise LearnedError("it is no ONNX, or damaged: export it again") from error
    graph = model.graph
    for tensor in graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise LearnedError(
                f"weights {shown(tensor.name)} lie in another file, which is never opened: export all in one"
            )
        if tensor.data_type != onnx.TensorProto.FLOAT:
            raise LearnedError(f"weights {shown(tensor.name)} are no float32: export it as float32")
    for node in graph.node:
        if node.domain not in ("", "ai.onnx"):
            raise LearnedError(
                f"it has an operator of the domain {shown(node.domain)}: export it with ONNX's own operators"
            )
        if node.op_type not in _ATTRIBUTES:
            raise LearnedError(
                f"it has the operator {shown(node.op_type)}: export the layers alone, of {', '.join(_ATTRIBUTES)}"
            )
    if model.functions or graph.sparse_initializer:
        raise LearnedError("it has functions or sparse weights of its own: export the plain layers")
    try:
        onnx.checker.check_model(model)
        return graph, {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    except (onnx.checker.ValidationError, ValueError) as error:
        raise LearnedError("it is no valid ONNX, as onnx.checker says: export it again") from error


def _layers(graph: Any, tensors: dict[str, Singles]) -> Layers:
    """The layers of a graph that is one chain from its only input to its only output; raises LearnedError."""
    inputs = [value for value in graph.input if value.name not in tensors]
    for what, values in (("inputs", inputs), ("outputs", graph.output)):
        if len(values) != 1:
            raise LearnedError(
                f"it has {len(values)} {what}: export the network of the actions alone, with one"
            )
    _check_input(inputs[0].type.tensor_type)
    chain, at = _Chain(), inputs[0].name
    for node in graph.node:
        names = [name for name in node.input if name]
        first = names[:1] if node.op_type != "Add" else names
        if at not in first or any(name not in tensors for name in names if name != at):
            raise LearnedError(
                f"its {node.op_type} does not follow what stands before it: export one chain of layers"
            )
        chain.add(node, [tensors[name] for name in names if name != at])
        at = node.output[0]
    if at != graph.output[0].name:
        raise LearnedError("its output is not that of its last layer: export one chain of layers")
    return chain.layers()


def _check_input(kind: Any) -> None:
    """Raise LearnedError where an input is no matrix of float32 (states, numbers)."""
    import onnx

    if kind.elem_type != onnx.TensorProto.FLOAT:
        raise LearnedError("its input is no float32: export it as float32")
    if kind.HasField("shape") and len(kind.shape.dim) != 2:
        raise LearnedError(
            f"its input has {len(kind.shape.dim)} dimensions: export it with two, states and numbers"
        )


class _Chain:
    """The layers of a network, as its operators come, each reading what the one before it gave."""

    def __init__(self) -> None:
        self._weights: list[Singles] = []
        self._biases: list[Singles | None] = []  # None: not given, so far
        self._activations: list[str] = []

    def add(self, node: Any, tensors: list[Singles]) -> None:
        """Go on with an operator and its weights; raises LearnedError where no policy has it there."""
        kind = node.op_type
        attributes = {each.name: each.f or each.i for each in node.attribute}
        for name, value in attributes.items():
            if value not in _ATTRIBUTES[kind].get(name, ()):
                raise LearnedError(f"its {kind} has {shown(name)} of {value:g}: export plain layers")
        if kind in ("Gemm", "MatMul"):
            self._begin(kind, tensors, bool(attributes.get("transB")))
        elif kind == "Add":
            self._shift(tensors)
        elif kind in ("Relu", "Tanh"):
            self._activations.append(kind.lower())
            if len(self._activations) != len(self._weights):
                raise LearnedError(
                    f"its {kind} follows no layer: export layers with one activation between two"
                )

    def _begin(self, kind: str, tensors: list[Singles], transposed: bool) -> None:
        if len(self._activations) != len(self._weights):
            raise LearnedError("two layers follow each other without an activation: export one between them")
        if not tensors or tensors[0].ndim != 2:
            raise LearnedError(f"its {kind} has no matrix of weights: export plain layers")
        self._weights.append(tensors[0].T if transposed else tensors[0])
        self._biases.append(None)
        if kind == "Gemm" and len(tensors) > 1:
            self._shift(tensors[1:])

    def _shift(self, tensors: list[Singles]) -> None:
        """Give the newest layer its bias (outputs,)."""
        if len(self._activations) == len(self._weights) or self._biases[-1] is not None:
            raise LearnedError("its Add follows no MatMul: export plain layers")
        outputs = self._weights[-1].shape[1]
        if len(tensors) != 1 or tensors[0].shape not in ((outputs,), (1, outputs)):
            raise LearnedError(f"a layer of {outputs} units has no bias of as many: export plain layers")
        self._biases[-1] = tensors[0].reshape(-1)

    def layers(self) -> Layers:
        """The whole network; raises LearnedError where it is none that a policy can be made of."""
        if len(self._activations) != len(self._weights) - 1:
            raise LearnedError(
                "its last layer has an activation, or there is no layer: export what actions are worth"
            )
        if len(set(self._activations)) > 1:
            raise LearnedError("its hidden layers have several activations: give a network with one")
        biases = [
            np.zeros(weight.shape[1], np.float32) if bias is None else bias
            for weight, bias in zip(self._weights, self._biases, strict=True)
        ]
        return checked(self._weights, biases, self._activations[0] if self._activations else "relu")
