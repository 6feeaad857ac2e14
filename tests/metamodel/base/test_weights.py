"""Weights as bytes: what was written comes back, and anything else is refused in words."""

import json

import numpy as np
import pytest
from safetensors.numpy import load, save

from windvane.metamodel.base.weights import WeightsError, digest, from_bytes, to_bytes

TENSORS = {
    "matrix": np.arange(6, dtype=np.float32).reshape(2, 3),
    "bias": np.array([0.5, -1e-300, np.pi]),
    "count": np.array(7),
    "nothing": np.zeros((0, 4)),
}
ABOUT = {"model": "regime", "data": "simulated"}


class TestToBytes:
    def test_what_was_written_comes_back(self) -> None:
        found = from_bytes(to_bytes(TENSORS, ABOUT))
        assert found.about == ABOUT
        assert set(found.tensors) == set(TENSORS)
        for name, value in TENSORS.items():
            assert found.tensors[name].dtype == value.dtype
            np.testing.assert_array_equal(found.tensors[name], value)
            assert found.tensors[name].flags.writeable

    def test_the_same_weights_give_the_same_bytes(self) -> None:
        turned = dict(reversed(TENSORS.items()))
        assert to_bytes(turned, dict(reversed(ABOUT.items()))) == to_bytes(TENSORS, ABOUT)
        assert digest(to_bytes(TENSORS, ABOUT)) != digest(to_bytes(TENSORS, {}))

    def test_others_read_what_we_write_and_we_what_they_write(self) -> None:
        got = load(to_bytes(TENSORS, ABOUT))
        for name, value in TENSORS.items():
            np.testing.assert_array_equal(got[name], value)
        back = from_bytes(save({"matrix": TENSORS["matrix"]}, ABOUT))
        assert back.about == ABOUT
        np.testing.assert_array_equal(back.tensors["matrix"], TENSORS["matrix"])


def damaged(**entry: object) -> bytes:
    usual = {"dtype": "F64", "shape": [2], "data_offsets": [0, 16]}
    head = json.dumps({"a": {**usual, **entry}}).encode()
    return len(head).to_bytes(8, "little") + head + bytes(16)


class TestFromBytes:
    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            b"1234",
            (2**63).to_bytes(8, "little") + b"{}",
            (2).to_bytes(8, "little") + b"[]",
            (3).to_bytes(8, "little") + b"{a}",
            to_bytes(TENSORS, ABOUT)[:-1],
            damaged(dtype="BF16"),
            damaged(shape=[3]),
            damaged(shape="2"),
            damaged(data_offsets=[0, 99]),
            damaged(data_offsets=[-8, 8]),
            damaged(data_offsets=[8, 0]),
            damaged(data_offsets=None),
            damaged(data_offsets=["0", "16"]),
            damaged(shape=[1], data_offsets=[0, 8]),  # data that no tensor covers
            damaged(dtype="BOOL", shape=[16]),
        ],
    )
    def test_anything_else_is_refused(self, raw: bytes) -> None:
        with pytest.raises(WeightsError):
            from_bytes(raw)

    def test_a_sound_file_of_that_kind_is_read(self) -> None:
        np.testing.assert_array_equal(from_bytes(damaged()).tensors["a"], [0.0, 0.0])
