"""Checkpoints: folders with the learner's weights and its session's samples (safetensors), and what they are (JSON).

Unlike a pickle, a checkpoint holds no code that reading it could run. checkpoint.json is written last and names the
other files by their sha256, so a crash leaves either the old checkpoint or the new one.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from windvane.agents.kernel import this_program
from windvane.agents.program import FIRST
from windvane.infra.runs.files import replace_file
from windvane.metamodel.base import weights
from windvane.metamodel.base.weights import WeightsError
from windvane.metamodel.learning import swapping
from windvane.metamodel.learning.learned import to_bytes
from windvane.metamodel.learning.manager import MetaLearningEnsembleManager

STORY = "checkpoint.json"
SCOPE = "the meta-learner, over agents that are rules: the agents themselves are not trained"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint as it was read.

    raw: the weights, safetensors; story: the contents of checkpoint.json, {} for a file of weights without one;
    samples: what a session goes on from beside the weights, safetensors, b"" where there is nothing of it.
    """

    raw: bytes
    story: dict[str, Any]
    samples: bytes = b""


def learned(manager: MetaLearningEnsembleManager) -> bytes:
    """Return what a learner knows as checkpoints hold it: safetensors, equal bytes for equal knowledge."""
    return to_bytes(manager, {"scope": SCOPE})


def write(
    folder: Path, manager: MetaLearningEnsembleManager, story: dict[str, Any], samples: bytes = b""
) -> None:
    """Write the weights of a learner as a checkpoint into `folder`, in place of the one that is there.

    story: entries for checkpoint.json beside those that describe the weights; samples: as `Checkpoint` says.
    """
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        "format": _FORMAT,
        **_written(folder, "learner", learned(manager), ("weights", "sha256")),
        **(_written(folder, "samples", samples, ("samples", "samples_sha256")) if samples else {}),
        "trained": SCOPE,
        "data": "SIMULATED markets",
        "computed_by": this_program()._asdict(),
        **story,
    }
    replace_file(folder / STORY, (json.dumps(contents, indent=2) + "\n").encode())
    for kind in ("learner", "samples"):
        for old in folder.glob(f"{kind}-*.safetensors"):
            if old.name not in contents.values():
                old.unlink()


def _written(folder: Path, kind: str, raw: bytes, entries: tuple[str, str]) -> dict[str, str]:
    """Write safetensors to a file named by their digest, and return the two entries by which the story names them."""
    name = f"{kind}-{weights.digest(raw)[:16]}.safetensors"
    replace_file(folder / name, raw)
    return dict(zip(entries, (name, weights.digest(raw)), strict=True))


def read(path: Path) -> Checkpoint:
    """Read a checkpoint from its folder, or from a file of weights alone.

    Raises WeightsError where a file is missing or damaged, or a newer release wrote it.
    """
    if path.is_file():
        return Checkpoint(path.read_bytes(), {})
    if not (path / STORY).is_file():
        raise WeightsError(f"{path} holds no checkpoint: give a folder such as final_session or best_models")
    try:
        story = json.loads((path / STORY).read_bytes())
        files = [(str(story["weights"]), str(story["sha256"]))]
        if "samples" in story:
            files.append((str(story["samples"]), str(story["samples_sha256"])))
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{path / STORY} is damaged: choose another checkpoint") from error
    if story.get("format") != _FORMAT:
        program = story.get("computed_by")
        writer = program.get("version", FIRST) if isinstance(program, dict) else FIRST
        raise WeightsError(
            f"{path} is of format {story.get('format')}, written by windvane {writer}, and this one reads format "
            f"{_FORMAT}: run windvane {writer} or newer"
        )
    raw, *samples = (_read(path, name, wanted) for name, wanted in files)
    return Checkpoint(raw, story, *samples)


def _read(folder: Path, name: str, wanted: str) -> bytes:
    """The bytes of a file of a checkpoint; raises WeightsError where their sha256 is not `wanted`."""
    if Path(name).name != name or not (folder / name).is_file():
        raise WeightsError(f"{folder} lacks its file {name!r}: choose another checkpoint")
    raw = (folder / name).read_bytes()
    if weights.digest(raw) != wanted:
        raise WeightsError(f"{folder / name} is not what {STORY} names: choose another checkpoint")
    return raw


class SessionManager:
    """The learner of a trainer's or evaluator's ensemble, to look into, to save and to load.

    manager: the learner; ensemble: the ensemble that it weighs for.
    """

    def __init__(self, manager: MetaLearningEnsembleManager, ensemble: Any) -> None:
        self._manager, self._ensemble = manager, ensemble

    @property
    def training_data(self) -> dict[str, Any]:
        """The newest samples of all episodes, at most `meta_lookback`, one for every 32 ticks of a market.

        Three deques of equal length: "market_features" (50,), "regimes" and "agent_scores" (N,).
        """
        return dict(self._ensemble.desk.data._asdict())

    @property
    def weights(self) -> dict[str, float]:
        """The present weight of every agent, by name; they sum to 1."""
        return self._manager.weights

    @property
    def member_weights(self) -> dict[str, float]:
        """The present weight of every member of the mixture (a way to weigh agents), by name; they sum to 1."""
        return self._manager.member_weights

    def get_regime_info(self) -> dict[str, Any]:
        """Return the present regime, the probability of each, and how stable it was over the newest rows."""
        return dict(self._ensemble.get_regime_info())

    def load_meta_models(self, path: str | Path) -> dict[str, str]:
        """Load weights, which are in effect from the next row on, and return the texts stored with them.

        Weights alone: the samples and the counts of a session are taken up by the trainer's `resume`.

        path: a checkpoint's folder, or a safetensors file of a whole learner or of the predictor alone. The weights
        are verified first: sha256, agents, shapes, finite numbers, and what they compute for a few rows. Raises
        WeightsError where they do not pass; the ensemble then keeps its weights.
        """
        return swapping.swap(self._manager, read(Path(path)).raw).about

    def save_meta_models(self, path: str | Path) -> None:
        """Write the learner's weights as a checkpoint into the folder `path`."""
        write(Path(path), self._manager, {"agents": list(self._manager.agents)})
