"""What a field's type says about it in words: its meaning, its unit, and of a column its shape."""

from typing import Annotated, Any, NamedTuple, get_args, get_origin

import msgspec

from windvane.agents.base import Ints
from windvane.streams.events import Times


class Note(NamedTuple):
    """A field in words; shape: names of its dimensions, () where it is no column."""

    shape: tuple[str, ...] = ()
    text: str = ""


def note_of(kind: Any) -> Note:
    """The note that a field's type carries as msgspec.Meta; an empty one where it carries none."""
    for meta in get_args(kind)[1:] if get_origin(kind) is Annotated else ():
        if isinstance(meta, msgspec.Meta):
            return Note(tuple((meta.extra or {}).get("shape", ())), meta.description or "")
    return Note()


def bare(kind: Any) -> Any:
    """A field's type without its note."""
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def is_whole(kind: Any) -> bool:
    """Whether a column's type holds whole numbers, also where the column may be absent."""
    kept = bare(kind)
    return any(one in (Ints, Times) for one in (kept, *get_args(kept)))
