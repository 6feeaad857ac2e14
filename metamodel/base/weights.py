"""Weights of a model as bytes: safetensors (https://github.com/huggingface/safetensors), read and written here.

Only what this project needs: float64, float32, float16 and int64 tensors, and text about them. Nothing in it can run.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from windvane.agents.errors import WindvaneError
from windvane.agents.program import FIRST, VERSION
from windvane.metamodel.base.upgrading import Upcast, UpgradeError, upcast, version_of

_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8"}
_NAMES = {np.dtype(code).str: name for name, code in _TYPES.items()}
_LARGEST_HEAD = 100_000_000


class WeightsError(WindvaneError):
    """Bytes that are not the weights they should be; the message says why."""


class Weights(NamedTuple):
    """Named tensors, and text about them."""

    tensors: dict[str, np.ndarray]
    about: dict[str, str]


def digest(raw: bytes) -> str:
    """sha256 of the bytes, in hex."""
    return hashlib.sha256(raw).hexdigest()


def as_now(
    given: Weights, fresh: Mapping[str, np.ndarray], upcasts: Sequence[Upcast], what: str
) -> dict[str, np.ndarray]:
    """Tensors of an older release, as this one writes them; raises WeightsError where a newer release wrote them.

    fresh: the tensors of something new; a file says its version and writer since 0.2.0.
    """
    version = given.about.get("version", "1")
    writer = given.about.get("writer", FIRST)
    try:
        return upcast(
            given.tensors,
            fresh,
            upcasts,
            version=int(version) if version.isdecimal() else 0,
            what=what,
            writer=writer,
        )
    except UpgradeError as error:
        raise WeightsError(str(error)) from error


def told(upcasts: Sequence[Upcast]) -> dict[str, str]:
    """What a file says of its version and writer."""
    return {"version": str(version_of(upcasts)), "writer": VERSION}


def to_bytes(tensors: Mapping[str, np.ndarray], about: Mapping[str, str]) -> bytes:
    """The same tensors and text give the same bytes."""
    head: dict[str, object] = {"__metadata__": dict(sorted(about.items()))}
    body = b""
    for name in sorted(tensors):
        value = np.ascontiguousarray(tensors[name])
        raw = value.tobytes()
        head[name] = {
            "dtype": _NAMES[value.dtype.str],
            "shape": list(value.shape),
            "data_offsets": [len(body), len(body) + len(raw)],
        }
        body += raw
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # data begin at a multiple of eight
    return len(text).to_bytes(8, "little") + text + body


def from_bytes(raw: bytes) -> Weights:
    """Raises WeightsError where the bytes are not whole."""
    size = int.from_bytes(raw[:8], "little")
    if len(raw) < 8 or not 2 <= size <= min(_LARGEST_HEAD, len(raw) - 8):
        raise WeightsError("not safetensors: its head does not fit into it")
    try:
        head = json.loads(raw[8 : 8 + size])
        if not isinstance(head, dict):
            raise WeightsError("its head is not an object")
        about = {str(key): str(text) for key, text in dict(head.pop("__metadata__", {})).items()}
        body = raw[8 + size :]
        tensors = {str(name): _tensor(body, entry) for name, entry in head.items()}
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise WeightsError(f"not safetensors: {error}") from error
    return Weights(tensors, about)


def _tensor(body: bytes, entry: dict[str, object]) -> np.ndarray:
    code = _TYPES.get(str(entry["dtype"]))
    if code is None:
        raise WeightsError(f"tensors of type {entry['dtype']} are not read here: give {', '.join(_TYPES)}")
    shape, offsets = entry["shape"], entry["data_offsets"]
    if not isinstance(shape, list) or not isinstance(offsets, list):
        raise WeightsError("a tensor needs a shape and offsets")
    start, stop = offsets
    if not 0 <= start <= stop <= len(body):
        raise WeightsError("a tensor lies outside of the data")
    return np.frombuffer(body[start:stop], np.dtype(code)).reshape(shape).copy()
