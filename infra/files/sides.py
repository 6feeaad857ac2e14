"""Who took a trade, and whether rows that look like trades are levels of a book."""

from __future__ import annotations

from typing import Any

import numpy as np

from windvane.agents.base import Floats
from windvane.infra.files.errors import InputError
from windvane.infra.files.layouts import book_sentence
from windvane.infra.files.values import QUOTE_SIDES, bought, words_of

_ZEROS = 0.01
"""Share of rows without a size from which what looks like trades is a book, where a level is taken out by it."""
_SIGNED = 0.05
"""Share of negative sizes from which the sign of a size is the side of its trade."""
_TURNS = 10
_NEARLY = 0.95


def signed(size: Floats) -> bool:
    """Whether the sign of the sizes of trades says who took them."""
    return bool(np.count_nonzero(size < 0) > _SIGNED * len(size))


def bought_size(
    column: Any, size: Floats, name: str, maker: bool, codes: dict[str, int] | None, notes: list[str]
) -> Floats | None:
    """(n,) how much of each trade the aggressor bought, None where its side is in doubt, which a note says.

    column: the side, called name; maker: it says whether the buyer was passive. A row without a side counts half.
    """
    buys, strange = bought(column, maker=maker and codes is None, codes=codes)
    unknown = int(np.count_nonzero(buys == -1))
    if unknown == len(buys) and strange:
        notes.append(
            f"column {name} holds {', '.join(strange[:6])}, and which of these is buy and which is sell is not known "
            f"(say it with --side-codes, such as buy={strange[0]},sell={strange[-1]}): not used"
        )
    elif unknown == len(buys):
        notes.append(f"column {name} holds neither buy nor sell: not used")
    elif unknown * 2 > len(buys):
        notes.append(f"column {name} holds neither buy nor sell in {unknown} rows, most of them: not used")
    else:
        notes.append(f"buy_size read from {name}, the side of the aggressor")
        if unknown:
            notes.append(
                f"{unknown} rows have a side that is neither buy nor sell: half of their size counts as bought"
            )
        return np.asarray(np.where(buys == -1, 0.5, buys) * size)
    return None


def refuse_book(file: str, column: Any, price: Floats, size: Floats) -> None:
    """Raises InputError where rows are levels of a book: sizes of 0, or asks that stay above the bids.

    column: the side; price, size: (n,) as the file has them.
    """
    words, place = words_of(column)
    zeros = float((size == 0).mean())
    quoted = bool(QUOTE_SIDES.intersection(words))
    if zeros > (_ZEROS if quoted else 5 * _ZEROS):
        raise InputError(
            book_sentence(file, f" ({zeros:.0%} of the rows have a size of 0, which takes a level away)")
        )
    if not quoted:
        return
    asks = np.isin(place, [k for k, word in enumerate(words) if word in ("ask", "asks", "a", "offer")])
    bids = np.isin(place, [k for k, word in enumerate(words) if word in ("bid", "bids", "b")])
    turns = np.flatnonzero((asks[1:] & bids[:-1]) | (bids[1:] & asks[:-1]))
    above = np.where(asks[turns], price[turns] > price[turns + 1], price[turns] < price[turns + 1])
    if len(turns) >= _TURNS and above.mean() > _NEARLY:
        raise InputError(book_sentence(file, " (its asks stay above its bids)"))
