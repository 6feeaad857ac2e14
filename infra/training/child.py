"""The process that trains: it reads requests from stdin and writes results to stdout, each as a frame.

A frame is a length, 8 bytes little-endian, and as many bytes. The process ends when stdin does, so it never outlives
its parent. It imports torch, so that the parent need not.
"""

import os
import sys
from typing import BinaryIO

MOST_BYTES = 1 << 30


def read_frame(stream: BinaryIO) -> bytes | None:
    """Wait for the next frame and return its bytes; None at the end of the stream, or where the frame is cut short."""
    head = stream.read(8)
    if len(head) < 8:
        return None
    size = int.from_bytes(head, "little")
    raw = stream.read(size) if size <= MOST_BYTES else b""
    return raw if len(raw) == size else None


def write_frame(stream: BinaryIO, raw: bytes) -> None:
    """Write `raw` as one frame and flush the stream."""
    stream.write(len(raw).to_bytes(8, "little"))
    stream.write(raw)
    stream.flush()


def main() -> None:
    """Answer every request on stdin with the result of its training, until stdin ends."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints goes to stderr, so that it cannot get between the frames
    import torch

    from windvane.infra.training.predictor import train

    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    torch.use_deterministic_algorithms(True)
    while (raw := read_frame(sys.stdin.buffer)) is not None:
        write_frame(out, train(raw))


if __name__ == "__main__":
    main()
