"""Weights of a model as bytes in the safetensors format (https://github.com/huggingface/safetensors).

Unlike a pickle, such bytes hold no code that reading them could run. They hold float64, float32, float16 and int64
tensors, and texts about them. The library reads them, since bytes may come from anybody. They are written here: files
are known by their digest, so the same weights must give the same bytes, and the library writes the texts in an order
that changes from call to call.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from windvane.agents.errors import WindvaneError
from windvane.agents.program import FIRST, VERSION
from windvane.metamodel.base.upgrading import Upcast, UpgradeError, upcast, version_of

_NAMES = {"<f8": "F64", "<f4": "F32", "<f2": "F16", "<i8": "I64"}


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
    """Read tensors and texts from safetensors; each tensor is an array of its own.

    Raises WeightsError where the bytes are cut, damaged, or hold another type of tensor.
    """
    try:
        tensors = load(raw)
        size = int.from_bytes(raw[:8], "little")
        about = json.loads(raw[8 : 8 + size]).get("__metadata__") or {}
    except KeyError as error:  # a type that numpy has no name for
        raise WeightsError(_not_read(error.args[0])) from error
    except (SafetensorError, ValueError) as error:
        raise WeightsError(f"not safetensors: {error}") from error
    for value in tensors.values():
        if value.dtype.str not in _NAMES:
            raise WeightsError(_not_read(value.dtype))
    return Weights({name: value.copy() for name, value in tensors.items()}, about)


def _not_read(kind: object) -> str:
    """The sentence for a tensor of a type that the project has no use for."""
    return f"tensors of type {kind} are not read here: give {', '.join(_NAMES.values())}"
