"""windvane schemas: what other programs need to read the topics, written as files."""

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

    made = files()
    for path, raw in made.items():
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        replace_file(out / path, raw)
    say(f"wrote {len(made)} files to {out}")
