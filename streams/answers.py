"""What agents answer, judged: an answer that cannot be used benches its agent at that row, and nothing else.

Every stage that reads proposals judges them by these rules, so all of them bench the same agents at the same rows.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from msgspec.structs import replace

from windvane.agents.base import Floats, Ints
from windvane.agents.benching import FIT, MISSHAPEN, REASONS, faults_of
from windvane.streams.events import Proposals, cut


def refusal(batch: Proposals, agents: tuple[str, ...]) -> str:
    """Why no answer of a batch can be used in a book of these agents; "" where each can be judged."""
    strangers = set(batch.agents) - set(agents)
    if strangers:
        return f"book {batch.book} has no agent {', '.join(sorted(strangers))}"
    if len(set(batch.agents)) < len(batch.agents):
        return f"the proposals for book {batch.book} name an agent twice: name each once"
    if len(batch.versions) != len(batch.agents):
        return f"the proposals for book {batch.book} give {len(batch.versions)} versions: give one for each agent"
    return ""


def unproven(batch: Proposals) -> str:
    """Why proposals are refused that their agents' keys have not signed."""
    names = ", ".join(batch.agents)
    return (
        f"what was proposed for {names} of book {batch.book} from seq {batch.first} on is not signed with the key of "
        "each: give the sender and the workers the same WINDVANE_AGENT_KEYS"
    )


def judged(batch: Proposals) -> Iterator[Proposals]:
    """The batch in pieces in which the same agents are benched at every row, with targets of 0 for those.

    A piece in which nobody is benched has None for the column.
    """
    benched = _faults(batch)
    if benched is None:
        yield batch
        return
    out = benched != FIT
    whole = replace(
        batch,
        target=np.where(out, 0.0, batch.target),
        action=np.where(out, 0, batch.action),
        confidence=np.where(out, 0.0, batch.confidence),
        benched=benched,
    )
    edges = [0, *(np.flatnonzero((benched[1:] != benched[:-1]).any(axis=1)) + 1).tolist(), len(batch)]
    for start, stop in pairwise(edges):
        piece = cut(whole, start, stop)
        yield piece if out[start].any() else replace(piece, benched=None)


def _faults(batch: Proposals) -> Ints | None:
    """Why each answer is left out, (n, A): what its sender says, else what is seen; None where none is."""
    told = batch.benched
    seen = None if _usual(batch) else faults_of(batch.target, batch.confidence)
    if told is None or not told.any():
        return seen
    told = np.where((told >= 0) & (told < len(REASONS)), told, MISSHAPEN)
    return told if seen is None else np.where(told != FIT, told, seen)


def _usual(batch: Proposals) -> bool:
    """Whether all answers are in range, looked at in the way that takes least time for so many rows."""
    target, confidence = batch.target, batch.confidence
    if len(target) == 1:
        answers = zip(target[0].tolist(), confidence[0].tolist(), strict=True)
        return all(-1.0 <= wanted <= 1.0 and 0.0 <= trust <= 1.0 for wanted, trust in answers)
    return bool(
        target.min() >= -1.0 and target.max() <= 1.0 and confidence.min() >= 0.0 and confidence.max() <= 1.0
    )


def part_of(batch: Proposals, agents: Sequence[str]) -> Proposals:
    """The answers of some agents of a batch."""
    places = [batch.agents.index(agent) for agent in agents]
    names = ("target", "action", "confidence", "benched")
    columns: dict[str, Ints | Floats | None] = {
        n: np.ascontiguousarray(of[:, places]) for n in names if (of := getattr(batch, n)) is not None
    }
    told = columns.get("benched")
    if told is not None and not told.any():
        columns["benched"] = None
    versions = tuple(batch.versions[place] for place in places)
    return replace(batch, agents=tuple(agents), versions=versions, **columns)
