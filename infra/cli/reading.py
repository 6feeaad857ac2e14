"""The options that say how a file is to be read, the same for every command that reads one."""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

_TEXT = str | None

MaxRejected = Annotated[_TEXT, typer.Option(help="Percent of rows that may be rejected. Default: 5.")]

OPTIONS: dict[str, Any] = {
    "columns": Annotated[
        _TEXT,
        typer.Option(
            help="Columns in their order: ts,low,high,open,close,volume, - for an unread one; or ts=NAME,close=NAME."
        ),
    ],
    "stamp": Annotated[_TEXT, typer.Option(help="open or close: what the time of a bar marks.")],
    "symbol_column": Annotated[
        _TEXT, typer.Option(help="Column that tells symbols apart; --symbol is taken.")
    ],
    "side_codes": Annotated[_TEXT, typer.Option(help="Who took the trade, such as buy=0,sell=1.")],
    "decimal": Annotated[_TEXT, typer.Option(help="The mark of decimals: . or ,")],
    "encoding": Annotated[_TEXT, typer.Option(help="Of text files: utf-8, utf-16, cp1252 ...")],
    "layout": Annotated[Path | None, typer.Option(help="TOML file that holds these options.")],
    "max_rejected": MaxRejected,
}
"""Parameters by their name in Python."""


def takes_reading(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose parameter `reading` is made from the options of OPTIONS and its own `symbol`."""

    @functools.wraps(command)
    def with_options(*args: Any, **words: Any) -> None:
        from windvane.infra.files.reading import reading_of

        options = {name: words.pop(name) for name in OPTIONS}
        reading = reading_of(words.get("symbol"), options.pop("layout"), **options)
        command(*args, reading=reading, **words)

    signature = inspect.signature(command)
    own = [p for p in signature.parameters.values() if p.name != "reading"]
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        for name, kind in OPTIONS.items()
    ]
    with_options.__signature__ = signature.replace(parameters=[*own, *added])  # type: ignore[attr-defined]
    with_options.__annotations__ = {p.name: p.annotation for p in (*own, *added)}
    return with_options
