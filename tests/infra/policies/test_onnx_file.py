"""Networks in ONNX files: one that is a chain of layers is read as those layers, and any other is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install 'windvane[train]'")
pytest.importorskip("torch", reason="torch is not installed: pip install 'windvane[train]'")

from foreign import model, onnx_file, perceptron, weights_of  # noqa: E402
from onnx import TensorProto, helper  # noqa: E402

from some_policy import layers  # noqa: E402
from windvane.agents.learned.settings import LearnedError  # noqa: E402
from windvane.infra.policies.onnx_file import read_onnx  # noqa: E402

NET = layers((51, 16, 8, 3), 0, 5)
node = helper.make_node


@pytest.mark.parametrize("activation", ["Relu", "Tanh"])
@pytest.mark.parametrize("gemm", [True, False])
def test_layers_are_read_as_they_are(tmp_path: Path, activation: str, gemm: bool) -> None:
    read = read_onnx(onnx_file(tmp_path / "a.onnx", perceptron(NET, activation, gemm)))
    assert read.activation == activation.lower()
    for ours, theirs in ((read.weights, NET.weights), (read.biases, NET.biases)):
        assert [each.tobytes() for each in ours] == [each.tobytes() for each in theirs]


def test_what_changes_nothing_may_stand_anywhere_and_a_bias_may_be_missing(tmp_path: Path) -> None:
    one, two = NET.weights[1], NET.weights[2]
    nodes = [
        node("Identity", ["x"], ["i"]),
        node("Flatten", ["i"], ["f"]),
        node("MatMul", ["f", "one"], ["m"]),
        node("Relu", ["m"], ["r"]),
        node("Gemm", ["r", "two"], ["g"]),
        node("Identity", ["g"], ["y"]),
    ]
    read = read_onnx(onnx_file(tmp_path / "a.onnx", model(nodes, weights_of(one=one, two=two), width=16)))
    assert [bias.tolist() for bias in read.biases] == [[0.0] * 8, [0.0] * 3]
    assert read.weights[0].tobytes() == one.tobytes()


def external(whole: onnx.ModelProto, folder: Path) -> None:
    """Its first weights in a file beside it."""
    tensor = whole.graph.initializer[0]
    (folder / "beside.bin").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="beside.bin")


def of(*nodes: onnx.NodeProto, **tensors: np.ndarray) -> Callable[[], onnx.ModelProto]:
    return lambda: model(nodes, weights_of(**tensors))


def some(*shape: int) -> np.ndarray:
    return np.full(shape, 0.5, np.float32)


def named(what: str) -> onnx.ModelProto:
    """A network with one thing more than it may have."""
    whole = perceptron(NET)
    graph = whole.graph
    if what == "float64":
        graph.initializer[0].CopyFrom(weights_of(w0=NET.weights[0].T.astype(np.float64))[0])
    elif what == "domain":
        graph.node[1].domain = "com.example"
        whole.opset_import.add(domain="com.example", version=1)
    elif what == "function":
        function = whole.functions.add(name="Relu", domain="", input=["x"], output=["y"])
        function.opset_import.add(version=20)
        function.node.add(op_type="Tanh", input=["x"], output=["y"])
    elif what == "second output":
        graph.output.add().CopyFrom(helper.make_tensor_value_info("h0", TensorProto.FLOAT, ["N", 16]))
    elif what == "second input":
        graph.input.add().CopyFrom(helper.make_tensor_value_info("z", TensorProto.FLOAT, ["N", 16]))
    elif what == "images":
        graph.input[0].CopyFrom(helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 17]))
    elif what == "whole numbers":
        graph.input[0].CopyFrom(helper.make_tensor_value_info("x", TensorProto.INT64, ["N", 51]))
    elif what == "cut weights":
        graph.initializer[0].raw_data = graph.initializer[0].raw_data[:-4]
    elif what == "inner output":
        graph.output[0].name = "h1"
    return whole


def hidden(*sizes: int) -> Callable[[], onnx.ModelProto]:
    return lambda: perceptron(layers(sizes, 0, 0))


GEMM = node("Gemm", ["x", "w"], ["h"])
LAST = node("Gemm", ["r", "v"], ["y"])
REFUSED: dict[str, tuple[Callable[[], onnx.ModelProto], str]] = {
    "another operator": (
        of(GEMM, node("Softmax", ["h"], ["y"]), w=some(51, 3)),
        "the operator 'Softmax': export the layers alone, of Gemm, MatMul",
    ),
    "a constant": (of(node("Constant", [], ["y"], value_floats=[1.0] * 3)), "the operator 'Constant'"),
    "float64": (lambda: named("float64"), "'w0' are no float32"),
    "an operator of somebody's": (lambda: named("domain"), "the domain 'com.example'"),
    "a function under a known name": (lambda: named("function"), "functions or sparse weights"),
    "two outputs": (lambda: named("second output"), "2 outputs: export the network of the actions alone"),
    "two inputs": (lambda: named("second input"), "2 inputs"),
    "images": (lambda: named("images"), "3 dimensions: export it with two"),
    "states of whole numbers": (lambda: named("whole numbers"), "input is no float32|no valid ONNX"),
    "weights that are cut": (lambda: named("cut weights"), "no valid ONNX"),
    "an output of a hidden layer": (lambda: named("inner output"), "not that of its last layer"),
    "no layer": (of(node("Identity", ["x"], ["y"])), "there is no layer"),
    "an activation first": (
        of(node("Relu", ["x"], ["r"]), node("Gemm", ["r", "w"], ["y"]), w=some(51, 3)),
        "its Relu follows no layer",
    ),
    "an activation last": (
        of(GEMM, node("Tanh", ["h"], ["y"]), w=some(51, 3)),
        "its last layer has an activation",
    ),
    "two activations": (
        of(GEMM, node("Relu", ["h"], ["a"]), node("Tanh", ["a"], ["r"]), LAST, w=some(51, 8), v=some(8, 3)),
        "its Tanh follows no layer",
    ),
    "different activations": (
        of(
            *(GEMM, node("Relu", ["h"], ["a"]), node("Gemm", ["a", "u"], ["b"]), node("Tanh", ["b"], ["r"])),
            *(LAST,),
            w=some(51, 8),
            u=some(8, 8),
            v=some(8, 3),
        ),
        "several activations",
    ),
    "none between two layers": (
        of(GEMM, node("Gemm", ["h", "v"], ["y"]), w=some(51, 8), v=some(8, 3)),
        "without an activation",
    ),
    "no hidden layer": (of(node("Gemm", ["x", "w"], ["y"]), w=some(51, 3)), "1 to 4 layers"),
    "a layer over the input again": (
        of(GEMM, node("Relu", ["h"], ["r"]), node("Gemm", ["x", "w"], ["y"]), w=some(51, 3)),
        "its Gemm does not follow",
    ),
    "a skipped layer": (
        of(GEMM, node("Relu", ["h"], ["r"]), node("Add", ["r", "h"], ["y"]), w=some(51, 3)),
        "its Add does not follow",
    ),
    "its weights times its states": (
        of(node("MatMul", ["w", "x"], ["y"]), w=some(3, 51)),
        "its MatMul does not follow",
    ),
    "an Add without a layer": (of(node("Add", ["x", "b"], ["y"]), b=some(51)), "its Add follows no MatMul"),
    "an Add to itself": (
        of(node("MatMul", ["x", "w"], ["m"]), node("Add", ["m", "m"], ["y"]), w=some(51, 3)),
        "no bias of as many",
    ),
    "a second bias": (
        of(node("Gemm", ["x", "w", "b"], ["h"]), node("Add", ["h", "b"], ["y"]), w=some(51, 3), b=some(3)),
        "its Add follows no MatMul",
    ),
    "one bias for all units": (of(node("Gemm", ["x", "w", "b"], ["y"]), w=some(51, 3), b=some(1)), "no bias"),
    "a factor": (of(node("Gemm", ["x", "w"], ["y"], alpha=2.0), w=some(51, 3)), "'alpha' of 2"),
    "states turned over": (of(node("Gemm", ["x", "w"], ["y"], transA=1), w=some(51, 3)), "'transA' of 1"),
    "states made one row": (of(node("Flatten", ["x"], ["y"], axis=0)), "'axis' of 0"),
    "weights of three dimensions": (of(node("MatMul", ["x", "w"], ["y"]), w=some(1, 51, 3)), "no matrix"),
    "two actions": (hidden(51, 8, 2), "2 outputs: give a network of 3"),
    "layers that do not fit": (
        of(GEMM, node("Relu", ["h"], ["r"]), LAST, w=some(51, 8), v=some(9, 3)),
        "8 units is followed by one that reads 9",
    ),
    "too many layers": (hidden(51, 4, 4, 4, 4, 4, 3), "1 to 4 layers"),
    "too many units": (hidden(51, 1025, 3), "1 to 1024 units"),
    "too many inputs": (hidden(1002, 8, 3), "reads 1002 numbers"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_anything_else_is_refused_in_a_sentence(tmp_path: Path, what: str) -> None:
    make, said = REFUSED[what]
    refused(onnx_file(tmp_path / "a.onnx", make()), said)


def refused(path: Path, said: str) -> None:
    with pytest.raises(LearnedError, match=said) as error:
        read_onnx(path)
    sentence = str(error.value)
    assert sentence.startswith(f"ONNX file {path}: ")
    assert sentence.isprintable()
    assert ": " in sentence.removeprefix(f"ONNX file {path}: "), "what is wrong: what to do"


def test_weights_in_another_file_are_never_read(tmp_path: Path) -> None:
    whole = perceptron(NET)
    external(whole, tmp_path)
    refused(onnx_file(tmp_path / "a.onnx", whole), "'w0' lie in another file, which is never opened")


def test_what_is_no_onnx_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    refused(path, "is no file")
    path.write_bytes(b"\xffjunk" * 99)
    refused(path, "is no ONNX, or damaged")
    path.write_bytes(b"")
    refused(path, "is no valid ONNX")
    with path.open("wb") as file:
        file.truncate(2**26 + 1)
    refused(path, "67,108,865 bytes, more than the 67,108,864")


def test_damaged_bytes_are_read_or_refused_and_nothing_else(tmp_path: Path) -> None:
    path, draw = tmp_path / "a.onnx", np.random.Generator(np.random.PCG64(0))
    raw = perceptron(layers((2, 2, 3), 0, 0)).SerializeToString()
    told = set()
    for _ in range(400):
        bad = bytearray(raw)
        at, byte = draw.integers(len(raw)), draw.integers(256)
        bad[at] = byte
        path.write_bytes(bad)
        try:
            read_onnx(path)
        except LearnedError as error:
            told.add(str(error))
    assert len(told) > 3
    assert all(sentence.isprintable() for sentence in told)
