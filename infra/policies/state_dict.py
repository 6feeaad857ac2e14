"""The process that reads what torch saved: a state dict on stdin, its tensors as safetensors on stdout.

torch reads nothing but tensors here (`weights_only`), in a process of its own whose memory is bounded, so that whatever
a file does to torch, it does not do it to who converts it. Where the tensors cannot be used, a sentence on stderr says
why.
"""

import io
import re
import resource
import sys
from contextlib import suppress
from typing import Any

import numpy as np
import torch

from windvane.agents.learned.settings import MOST_UNITS, LearnedError
from windvane.infra.policies.sb3_zip import REFUSED
from windvane.metamodel.base import weights

_MOST_TENSORS = 64
_NAME = re.compile(r"[A-Za-z0-9_.]{1,100}")
_MOST_MEMORY = 2**33
"""Bytes of addresses; torch alone takes some of them."""


def main() -> None:
    """Answer and end."""
    raw = sys.stdin.buffer.read()
    with suppress(ValueError, OSError):  # not every system lets it be lowered
        resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
    state = torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
    try:
        tensors = plain_tensors(state)
    except LearnedError as error:
        sys.stderr.write(str(error))
        raise SystemExit(REFUSED) from error
    sys.stdout.buffer.write(weights.to_bytes(tensors, {}))


def plain_tensors(state: Any) -> dict[str, np.ndarray]:
    """The tensors of a state dict by name; raises LearnedError for others than small matrices and rows of float32."""
    if not isinstance(state, dict) or not 1 <= len(state) <= _MOST_TENSORS:
        raise LearnedError(f"it is no state dict of 1 to {_MOST_TENSORS} tensors")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor) or not _NAME.fullmatch(name):
            raise LearnedError("it holds other things than tensors with plain names")
        plain = value.layout == torch.strided and value.dtype == torch.float32 and value.device.type == "cpu"
        # Before a byte is copied: a tensor may claim any shape over a storage of one number.
        fits = value.dim() in (1, 2) and all(1 <= size <= MOST_UNITS for size in value.shape)
        if not plain or not fits:
            raise LearnedError(f"its {name} is no matrix of float32, of at most {MOST_UNITS} x {MOST_UNITS}")
    return {name: value.detach().numpy() for name, value in state.items()}


if __name__ == "__main__":
    main()
