"""What a person who waits for the suite sees."""

import sys
import time
from collections.abc import Iterable

from chaos.compare import Verdict

_BEGAN = time.monotonic()


def say(text: str) -> None:
    """A line with the seconds since the start, at once."""
    sys.stdout.write(f"{time.monotonic() - _BEGAN:7.1f} s  {text}\n")
    sys.stdout.flush()


def table(verdicts: Iterable[Verdict]) -> str:
    """A line a book, and the sums."""
    verdicts = list(verdicts)
    lines = [
        f"{'book':<28} {'rows':>8} {'orders':>8} {'fills':>8} {'lost':>6} {'doubled':>8} {'different':>10}"
    ]
    lines += [
        f"{v.book:<28} {v.rows:>8} {v.orders:>8} {v.fills:>8} {v.lost:>6} {v.doubled:>8} {v.different:>10}  {v.words}"
        for v in verdicts
    ]
    sums = [
        sum(getattr(v, n) for v in verdicts)
        for n in ("rows", "orders", "fills", "lost", "doubled", "different")
    ]
    lines.append("{:<28} {:>8} {:>8} {:>8} {:>6} {:>8} {:>10}".format("all", *sums))
    return "\n".join(lines)
