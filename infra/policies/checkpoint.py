"""The checkpoint of a policy's training: numbers as safetensors, and what they are as JSON; no code.

`checkpoint.json` is written last and names the other file by its sha256, so that a crash leaves the old checkpoint or
the new one.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from windvane.agents.learned.settings import LearnedError
from windvane.infra.runs.files import replace_file
from windvane.metamodel.base import weights

STORY = "checkpoint.json"
_FORMAT = 1


class Checkpoint(NamedTuple):
    """story: what the training is and how far it came; state: all arrays that it goes on from."""

    story: dict[str, Any]
    state: dict[str, np.ndarray]


def write(folder: Path, story: dict[str, Any], state: dict[str, np.ndarray]) -> None:
    """Write a checkpoint in place of the one that is there."""
    folder.mkdir(parents=True, exist_ok=True)
    raw = weights.to_bytes(state, {"model": "training"})
    name = f"state-{weights.digest(raw)[:16]}.safetensors"
    whole = {"format": _FORMAT, "state": name, "sha256": weights.digest(raw), **story}
    replace_file(folder / name, raw)
    replace_file(folder / STORY, (json.dumps(whole, indent=2) + "\n").encode())
    for old in folder.glob("state-*.safetensors"):
        if old.name != name:
            old.unlink()


def read(folder: Path) -> Checkpoint | None:
    """Read a checkpoint, None where there is none; raises LearnedError where it is damaged or of another release."""
    if not (folder / STORY).is_file():
        return None
    advice = "remove the folder to begin anew"
    try:
        story = json.loads((folder / STORY).read_bytes())
        name, wanted, format_ = str(story["state"]), story["sha256"], story["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise LearnedError(f"{folder / STORY} is damaged: {advice}") from error
    if format_ != _FORMAT:
        raise LearnedError(f"{folder / STORY} has format {format_}, this release reads {_FORMAT}: {advice}")
    if Path(name).name != name or not (folder / name).is_file():
        raise LearnedError(f"{folder} lacks its file {name!r}: {advice}")
    raw = (folder / name).read_bytes()
    if weights.digest(raw) != wanted:
        raise LearnedError(f"{folder / name} is not what {STORY} names: {advice}")
    try:
        return Checkpoint(story, weights.from_bytes(raw).tensors)
    except weights.WeightsError as error:
        raise LearnedError(f"{folder / name} cannot be read ({error}): {advice}") from error
