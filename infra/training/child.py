"""The trainer's process: framed requests on stdin, framed results on stdout. It alone imports torch.

A frame is its length, 8 bytes little-endian, and the bytes. It ends when stdin does, so it never outlives its parent.
"""

import os
import sys
from typing import BinaryIO

MOST_BYTES = 1 << 30


def read_frame(stream: BinaryIO) -> bytes | None:
    """The next frame, None at the end of the stream."""
    head = stream.read(8)
    if len(head) < 8:
        return None
    size = int.from_bytes(head, "little")
    raw = stream.read(size) if size <= MOST_BYTES else b""
    return raw if len(raw) == size else None


def write_frame(stream: BinaryIO, raw: bytes) -> None:
    """One frame, sent at once."""
    stream.write(len(raw).to_bytes(8, "little"))
    stream.write(raw)
    stream.flush()


def main() -> None:
    """Train what is asked for until there is no more."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not get between the frames
    import torch

    from windvane.infra.training.predictor import train

    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    torch.use_deterministic_algorithms(True)
    while (raw := read_frame(sys.stdin.buffer)) is not None:
        write_frame(out, train(raw))


if __name__ == "__main__":
    main()
