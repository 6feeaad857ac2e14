"""Symbols in any spelling: BTCUSDT, btc-usdt, BTC/USDT and BTC/USDT:USDT are found, the nearest is suggested."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches

from windvane.infra.feeds.errors import FeedError


def plain(symbol: str) -> str:
    """The letters and digits of a symbol alone, without the currency that a contract is settled in."""
    return re.sub(r"[^A-Z0-9]", "", symbol.upper().split(":")[0])


def find(asked: str, known: Mapping[str, str], exchange: str) -> str:
    """Return the exchange's own name of a symbol; known: as people write it -> as the exchange does.

    Raises FeedError where several symbols are given, or none or several are meant.
    """
    if "," in asked or len(asked.split()) > 1:
        raise FeedError(
            f"{asked!r} are several symbols, and one book trades one: start another for the second"
        )
    exact = [native for symbol, native in known.items() if asked in (symbol, native)]
    if exact:
        return exact[0]
    alike = {
        symbol: native for symbol, native in known.items() if plain(asked) in (plain(symbol), plain(native))
    }
    if len(set(alike.values())) == 1:
        return next(iter(alike.values()))
    if alike:
        raise FeedError(f"{asked!r} may be {' or '.join(sorted(alike))} at {exchange}: give one of them")
    spelled = {plain(symbol): symbol for symbol in known}
    near = [spelled[name] for name in get_close_matches(plain(asked), list(spelled), n=3, cutoff=0.5)]
    meant = f"did you mean {' or '.join(near)}?" if near else "give one that it lists, such as BTC/USDT"
    raise FeedError(f"{exchange} has no symbol {asked!r}: {meant}")
