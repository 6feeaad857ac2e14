"""What a release left behind, read from the archives that `make_fixtures.py` made."""

import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from release_books import Log, Stored

from windvane.streams.codec import from_json
from windvane.streams.events import Event
from windvane.streams.topics import TOPICS, Topic

HOME = Path(__file__).parent / "v0_1_0"
CLOSE = 1e-9
"""Relative: bit equality holds on one type of CPU only."""

LOT = 1.5e-8


@dataclass(frozen=True)
class Release:
    """records: of every topic up to the stop; coming: inputs after it; wanted: lines that the release wrote then."""

    records: dict[str, list[Stored]]
    ends: dict[str, int]
    states: dict[str, bytes]
    earlier: dict[str, bytes]
    coming: list[tuple[Topic, Event]]
    wanted: dict[str, list[bytes]]
    decisions: dict[str, np.ndarray]

    def log(self) -> Log:
        """A fresh copy of the log as it was when the release had stopped."""
        return Log({name: list(records) for name, records in self.records.items()}, dict(self.ends))


def archive(name: str, home: Path = HOME) -> dict[str, bytes]:
    """Every file of an archive."""
    with tarfile.open(home / f"{name}.tar.gz") as tar:
        return {m.name: f.read() for m in tar if (f := tar.extractfile(m)) is not None}


def unpacked(name: str, folder: Path) -> Path:
    """An archive's files in a folder."""
    for path, raw in archive(name).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(raw)
    return folder


@cache
def of_pipeline(version: str = HOME.name) -> Release:
    """The two books on topics, as a release left them."""
    files, topics = archive("pipeline", HOME.parent / version), {topic.name: topic for topic in TOPICS}
    records: dict[str, list[Stored]] = {name: [] for name in topics}
    for line in files["log.jsonl"].splitlines():
        told = json.loads(line)
        records[told["topic"]].append(Stored(told["offset"], told["raw"].encode()))
    coming = [json.loads(line) for line in files["ticks.jsonl"].splitlines()]

    def states(folder: str) -> dict[str, bytes]:
        return {name.split("/")[1]: raw for name, raw in files.items() if name.startswith(f"{folder}/")}

    with np.load(io.BytesIO(files["decisions.npz"]), allow_pickle=False) as columns:
        decisions = dict(columns)
    return Release(
        records=records,
        ends=dict.fromkeys(topics, 0) | json.loads(files["ends.json"]),
        states=states("states"),
        earlier=states("earlier"),
        coming=[(topics[told["topic"]], from_json(told["raw"].encode())) for told in coming],
        wanted={name: files[f"{name}.jsonl"].splitlines() for name in ("orders", "fills", "statements")},
        decisions=decisions,
    )


def close_to(got: Sequence[bytes], wanted: Sequence[bytes], where: str) -> None:
    """Fail where JSON lines differ by more than CPUs do."""
    assert len(got) == len(wanted), f"{len(got)} {where}, wanted {len(wanted)}"
    for i, (mine, theirs) in enumerate(zip(map(json.loads, got), map(json.loads, wanted), strict=True)):
        assert mine.keys() == theirs.keys()
        for key, value in theirs.items():
            _close(mine[key], value, f"{where}[{i}].{key}")


def _close(got: object, wanted: object, where: str) -> None:
    if isinstance(wanted, list) and isinstance(got, list) and len(got) == len(wanted):
        for a, b in zip(got, wanted, strict=True):
            _close(a, b, where)
    elif isinstance(wanted, float) and isinstance(got, float):
        assert abs(got - wanted) <= CLOSE * max(abs(got), abs(wanted)) + LOT, (
            f"{where} is {got}, was {wanted}"
        )
    else:
        assert got == wanted, f"{where} is {got!r}, was {wanted!r}"
