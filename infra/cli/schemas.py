"""windvane schemas: files that say how other programs read the topics."""

from pathlib import Path
from typing import Annotated

import typer


def schemas(
    out: Annotated[Path, typer.Option(help="Folder: asyncapi.json, and schemas/NAME.json.")] = Path("docs"),
) -> None:
    """Write a JSON Schema for every message, and an AsyncAPI document of all topics.

    Example:\n
      windvane schemas --out docs
    """
    from windvane.infra.runs.files import replace_file
    from windvane.infra.runs.progress import say
    from windvane.infra.schemas.asyncapi import files

    contents = files()
    for path, raw in contents.items():
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        replace_file(out / path, raw)
    say(f"wrote {len(contents)} files to {out}")
