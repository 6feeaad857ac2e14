"""What a person should know of a book, or of a whole partition, while a stage works on: nothing stops in silence."""

from collections.abc import Mapping
from typing import NamedTuple


class Trouble(NamedTuple):
    """Why a book does not go on as it should."""

    code: str  # one of CODES
    text: str  # one sentence that says what is wrong and what to do


CODES = (
    "hole",
    "feed_restarted",
    "name_used_again",
    "stopped",
    "no_proposals",
    "waiting",
    "opening_lost",
    "not_stored",
    "restarting",
)
"""Every code of a trouble, by which metrics count them. A meaning never changes; further ones are added at the end."""

Troubles = Mapping[str, Trouble]
"""By book; of the book "" where it is about the whole partition."""
