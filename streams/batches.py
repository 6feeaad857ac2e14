"""What all events share: an event of a book, columnar batches of its rows, and how they are cut and joined."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, TypeVar

import msgspec
import numpy as np
from msgspec import Meta

from windvane.agents.base import Ints


def column(text: str = "", *width: str) -> Meta:
    """What a column holds in each of its n rows, in words; width: names of further dimensions, such as of agents."""
    return Meta(description=text, extra={"shape": ("n", *width)})


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag=True):
    """Anything that travels on a topic; the key is always the book."""

    book: str


class Batch(Event, frozen=True, kw_only=True):
    """A columnar event: n >= 1 rows, one a sequence number."""

    seq: Annotated[Ints, column("row numbers of the book, without gaps")]

    matrices: ClassVar[dict[str, str]] = {}
    """Columns that are (n, k), and the field that names their k columns, or "" where it is a constant."""

    in_base64: ClassVar[frozenset[str]] = frozenset()
    """Real matrices that JSON has as base64 of their bytes, since their numbers would be what limits a pipeline."""

    most_a_row: ClassVar[int] = 1
    """Entries that one row of the book may have."""

    absent: ClassVar[dict[str, int]] = {}
    """What a column means at every row of a batch that does not have it, where some batches of a book do."""

    def __len__(self) -> int:
        return len(self.seq)

    @property
    def first(self) -> int:
        return int(self.seq[0])

    @property
    def last(self) -> int:
        return int(self.seq[-1])


B = TypeVar("B", bound=Batch)


def cut(batch: B, start: int, stop: int) -> B:
    """Rows start <= i < stop of a batch, as views."""
    if start == 0 and stop >= len(batch):
        return batch
    changed = {
        name: value[start:stop]
        for name in batch.__struct_fields__
        if isinstance(value := getattr(batch, name), np.ndarray)
    }
    return msgspec.structs.replace(batch, **changed)


def _is_column(value: Any) -> bool:
    return isinstance(value, np.ndarray)


def join(batches: Sequence[B]) -> B:
    """One batch of the rows of several, in the order given; what is not a column is taken from the first."""
    head = batches[0]
    if len(batches) == 1:
        return head
    changed: dict[str, Any] = {}
    for name in head.__struct_fields__:
        values = [getattr(batch, name) for batch in batches]
        if all(map(_is_column, values)):  # so it is of nearly every column
            changed[name] = np.concatenate(values)
            continue
        of = next((value for value in values if _is_column(value)), None)
        if of is not None and (name in head.absent or getattr(head, name) is not None):
            changed[name] = np.concatenate([column_of(b, name, of) for b in batches])
    return msgspec.structs.replace(head, **changed)


def column_of(batch: Batch, name: str, like: np.ndarray) -> np.ndarray:
    """A column of a batch; where the batch does not have it, what that means at every row, in the shape of `like`."""
    value: np.ndarray | None = getattr(batch, name)
    if value is None and name in batch.absent:
        return np.full((len(batch), *like.shape[1:]), batch.absent[name], like.dtype)
    return value  # type: ignore[return-value]
