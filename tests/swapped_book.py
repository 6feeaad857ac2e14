"""The retrained book with swaps in it, and weights to swap to."""

from collections.abc import Sequence
from functools import cache

import msgspec
import numpy as np

from retrained_book import AGENTS, ROWS, FakeTrainer, events, settings
from simulated_book import Recorded, learner, outputs, same, table
from windvane.metamodel.base import weights
from windvane.metamodel.learning.members import predictor
from windvane.streams import topics
from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.events import Control, DeadLetter, Decisions, Event, Model, Ticks, cut, join
from windvane.streams.models import swap_to

MONEY = (topics.ORDERS, topics.FILLS, topics.STATEMENTS)
AT = 800
BACK = Control(book="book", number=2, action="roll-back", effective_from=AT + 50)


@cache
def raw(kind: str) -> bytes:
    """Weights to swap to: of a predictor, or of a learner; good ones and others."""
    rng = np.random.default_rng(3)
    shapes = predictor.shapes(50, AGENTS - (kind == "other agents"))
    made = {n: (0.1 * rng.standard_normal(shape)).astype(np.float32) for n, shape in shapes.items()}
    if kind == "learner":
        return learner(settings(), raw("predictor"))
    if kind == "NaN":
        made["w3"][0, 0] = np.nan
    if kind == "too large":
        return weights.to_bytes({n: np.full(v.shape, 1e300) for n, v in made.items()}, {})
    if kind == "cancels":  # on states whose regressors are all alike
        made["w1"] = np.zeros_like(made["w1"])
        made["w1"][:, 0], made["w1"][:, 1] = 1e37, -1e37
    if kind == "explodes":
        made = {n: np.full(v.shape, 1e30, np.float32) for n, v in made.items()}
    if kind in ("NaN in a learner", "other members", "cancels in a learner"):
        tensors, about = weights.from_bytes(raw("learner"))
        tensors["share"] = tensors["share"] * (np.nan if kind == "NaN in a learner" else 1.0)
        if kind == "cancels in a learner":
            tensors["predictor.layers.b2"][0, :2] = 1e38, -1e38
        about |= {"members": "one,two"} if kind == "other members" else {}
        return weights.to_bytes(tensors, about)
    if kind == "not weights":
        return b"\x80pickled"
    return weights.to_bytes(made, {})


def run(orders: Sequence[Event], rows: int = ROWS, *, wire: bool = False, crash: bool = False) -> Recorded:
    """The retrained book with orders, ticks in batches; crash: gone on with from the state after every batch."""
    seen: Recorded = []

    def runner(snapshot: bytes | None = None) -> EmbeddedRunner:
        return EmbeddedRunner(
            lambda t, e: seen.append((t, e)), wire=wire, snapshot=snapshot, trainer=FakeTrainer()
        )

    first, ticks, last = events()
    assert isinstance(ticks, Ticks)
    now = runner()
    now.feed([first])
    now.control(orders)
    for at in range(0, ROWS, rows):
        now.feed([cut(ticks, at, at + rows)])
        now = runner(now.snapshot()) if crash else now
    now.feed([last])
    return seen


def swapped(kind: str, at: int = AT, number: int = 1) -> tuple[Model, Control]:
    return swap_to(raw(kind), book="book", number=number, effective_from=at)


@cache
def once(kind: str) -> Recorded:
    return run(swapped(kind))


@cache
def there_and_back(kind: str) -> Recorded:
    return run([*swapped(kind), BACK])


def decisions(seen: Recorded) -> Decisions:
    return join([e for _, e in seen if isinstance(e, Decisions)])


def letters(seen: Recorded) -> list[str]:
    return [e.reason for _, e in seen if isinstance(e, DeadLetter)]


def same_but_for_the_number(seen: Recorded, other: Recorded) -> None:
    """Decisions to the last bit, but for the column that says which control was applied."""
    ours, theirs = (
        msgspec.structs.replace(decisions(s), controls=np.zeros(ROWS, np.int64)) for s in (seen, other)
    )
    same(table([ours]), table([theirs]))
    same(outputs(seen, *MONEY), outputs(other, *MONEY))
