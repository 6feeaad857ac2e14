"""Weights of a model as bytes: safetensors (https://github.com/huggingface/safetensors), which cannot run anything.

Only what this project needs: float64, float32, float16 and int64 tensors, and text about them. The library reads them,
since bytes may come from anybody. They are written here: files are known by their digest, so the same weights must
give the same bytes, and the library writes the text in an order that changes from call to call.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from windvane.agents.program import FIRST, VERSION
from windvane.metamodel.base.upgrading import Upcast, UpgradeError, upcast, version_of

_NAMES = {"<f8": "F64", "<f4": "F32", "<f2": "F16", "<i8": "I64"}


class WeightsError(ValueError):
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
    """Tensors, each an array of its own, and text of such bytes; raises WeightsError where they are not whole."""
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
    return f"tensors of type {kind} are not read here: give {', '.join(_NAMES.values())}"
