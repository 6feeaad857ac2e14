"""Weights of a model as bytes in the safetensors format (https://github.com/huggingface/safetensors).

This is the part of the format that the project needs: float64, float32, float16 and int64 tensors, and texts about
them. Unlike a pickle, such bytes hold no code that reading them could run.
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
    """Bytes are not the weights that were expected; the message says why."""


class Weights(NamedTuple):
    """tensors: arrays by name; about: texts by name that describe them, such as their version and their agents."""

    tensors: dict[str, np.ndarray]
    about: dict[str, str]


def digest(raw: bytes) -> str:
    """Return the sha256 of the bytes, in hex, by which models are named on topics and in logs."""
    return hashlib.sha256(raw).hexdigest()


def as_now(
    stored: Weights, fresh: Mapping[str, np.ndarray], upcasts: Sequence[Upcast], what: str
) -> dict[str, np.ndarray]:
    """Return the tensors of any release as this release would have written them.

    stored: weights as they were read; those of 0.1.0 name no version and are version 1. fresh: the tensors of an
    untrained model; upcasts: one function for each step between versions, see `windvane.metamodel.base.upgrading`;
    what: the thing that was stored, in words, for the error. Raises WeightsError where a newer release wrote them.
    """
    version = stored.about.get("version", "1")
    writer = stored.about.get("writer", FIRST)
    try:
        return upcast(
            stored.tensors,
            fresh,
            upcasts,
            version=int(version) if version.isdecimal() else 0,
            what=what,
            writer=writer,
        )
    except UpgradeError as error:
        raise WeightsError(str(error)) from error


def version_texts(upcasts: Sequence[Upcast]) -> dict[str, str]:
    """Return the texts by which a file names the version of its tensors and the release that wrote it."""
    return {"version": str(version_of(upcasts)), "writer": VERSION}


def to_bytes(tensors: Mapping[str, np.ndarray], about: Mapping[str, str]) -> bytes:
    """Return tensors and texts as safetensors; equal tensors and texts become equal bytes, in whatever order.

    tensors: arrays of float64, float32, float16 or int64, of any shape.
    """
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
    """Read safetensors; raises WeightsError where the bytes are cut, damaged, or hold another type of tensor."""
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
    """Copy one tensor out of the data, by its entry in the head, after checking that it lies within the data."""
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
