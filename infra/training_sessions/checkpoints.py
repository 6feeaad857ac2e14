"""Checkpoints: a folder with what was learned (safetensors) and what it is (JSON). Nothing in it can run.

checkpoint.json is written last and names the weights by their sha256, so a crash leaves the old checkpoint or the new.
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
    """raw: the weights; story: what checkpoint.json tells."""

    raw: bytes
    story: dict[str, Any]


def write(folder: Path, manager: MetaLearningEnsembleManager, story: dict[str, Any]) -> None:
    """Write or replace a checkpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    raw = to_bytes(manager, {"scope": SCOPE})
    name = f"learner-{weights.digest(raw)[:16]}.safetensors"
    replace_file(folder / name, raw)
    told = {
        "format": _FORMAT,
        "weights": name,
        "sha256": weights.digest(raw),
        "trained": SCOPE,
        "data": "SIMULATED markets",
        "computed_by": this_program()._asdict(),
        **story,
    }
    replace_file(folder / STORY, (json.dumps(told, indent=2) + "\n").encode())
    for old in folder.glob("learner-*.safetensors"):
        if old.name != name:
            old.unlink()


def read(path: Path) -> Checkpoint:
    """A checkpoint by its folder, or its safetensors file alone; raises WeightsError where it is not whole."""
    if path.is_file():
        return Checkpoint(path.read_bytes(), {})
    if not (path / STORY).is_file():
        raise WeightsError(f"{path} holds no checkpoint: give a folder such as final_session or best_models")
    try:
        story = json.loads((path / STORY).read_bytes())
        name, wanted = str(story["weights"]), str(story["sha256"])
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{path / STORY} is damaged: choose another checkpoint") from error
    if story.get("format") != _FORMAT:
        told = story.get("computed_by")
        writer = told.get("version", FIRST) if isinstance(told, dict) else FIRST
        raise WeightsError(
            f"{path} is of format {story.get('format')}, written by windvane {writer}, and this one reads format "
            f"{_FORMAT}: run windvane {writer} or newer"
        )
    if Path(name).name != name or not (path / name).is_file():
        raise WeightsError(f"{path} lacks its weights {name!r}: choose another checkpoint")
    raw = (path / name).read_bytes()
    if weights.digest(raw) != wanted:
        raise WeightsError(f"{path / name} is not what {STORY} names: choose another checkpoint")
    return Checkpoint(raw, story)


class SessionManager:
    """The manager of an ensemble as sessions show it: what it has collected, sees, and can be given."""

    def __init__(self, manager: MetaLearningEnsembleManager, ensemble: Any) -> None:
        self._manager, self._ensemble = manager, ensemble

    @property
    def training_data(self) -> dict[str, Any]:
        """Newest samples, `meta_lookback` at most: market_features, regimes and agent_scores, one every 32 ticks."""
        return dict(self._ensemble.desk.data._asdict())

    @property
    def weights(self) -> dict[str, float]:
        """Weight of every agent now."""
        return self._manager.weights

    @property
    def member_weights(self) -> dict[str, float]:
        """Weight of every way to weigh now."""
        return self._manager.member_weights

    def get_regime_info(self) -> dict[str, Any]:
        """The regime shown, its posterior and stability."""
        return dict(self._ensemble.get_regime_info())

    def load_meta_models(self, path: str | Path) -> dict[str, str]:
        """Go on with the weights of a checkpoint from the next row on; gives what is said about them.

        path: a checkpoint's folder, or a safetensors file of a whole learner or of the predictor alone. They are
        verified first: sha256, agents, shapes, finite numbers, a canary market. Raises WeightsError where they do not
        pass, and then the ensemble goes on with what it had.
        """
        return swapping.swap(self._manager, read(Path(path)).raw).about

    def save_meta_models(self, path: str | Path) -> None:
        """Write what was learned as a checkpoint."""
        write(Path(path), self._manager, {"agents": list(self._manager.agents)})
