"""Checkpoints: folders with the learner's weights and its session's samples (safetensors), and what they are (JSON).

Of a session that trains agents, too, `policies` has a folder for each: a policy as `windvane train` writes one.

Unlike a pickle, a checkpoint holds no code that reading it could run. checkpoint.json is written last and names the
other files by their sha256, so a crash leaves either the old checkpoint or the new one.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from windvane.agents.kernel import this_program
from windvane.agents.learned.settings import LearnedError
from windvane.agents.program import FIRST
from windvane.infra.policies.folder import Packed, read_packed, unpacked, write_packed
from windvane.infra.runs.files import replace_file
from windvane.infra.training_sessions.agents import Agents
from windvane.metamodel.base import weights
from windvane.metamodel.base.config import TradingConfig
from windvane.metamodel.base.weights import WeightsError
from windvane.metamodel.learning import swapping
from windvane.metamodel.learning.learned import to_bytes
from windvane.metamodel.learning.manager import MetaLearningEnsembleManager

STORY = "checkpoint.json"
SCOPE = "the meta-learner, over agents that are rules: the agents themselves are not trained"
POLICIES = "policies"
_FORMAT = 1


class Learned(NamedTuple):
    """All that a session has learned, to be compared and loaded: equal bytes for equal knowledge."""

    raw: bytes  # of the meta-learner, safetensors
    policies: tuple[tuple[str, Packed], ...] = ()  # of the agents that it trains, by their ids


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint as it was read.

    raw: the weights, safetensors; story: the contents of checkpoint.json, {} for a file of weights without one;
    samples: what a session goes on from beside the weights, safetensors, b"" where there is nothing of it; policies: of
    the agents that were trained, by their ids.
    """

    raw: bytes
    story: dict[str, Any]
    samples: bytes = b""
    policies: dict[str, Packed] = field(default_factory=dict)

    @property
    def learned(self) -> Learned:
        """All that was learned until then."""
        return Learned(self.raw, tuple(self.policies.items()))

    def refuse_strangers(self, book: str, config: TradingConfig) -> None:
        """Raise WeightsError where the weights were learned beside policies that the book's agents are not."""
        versions = dict(zip(config.agents, config.versions or ("",) * len(config.agents), strict=True))
        for name, policy in self.policies.items():
            known = unpacked(policy).version
            if versions.get(name) != known:
                has = (
                    versions.get(name) or "another agent of that name"
                    if name in versions
                    else "no such agent"
                )
                raise WeightsError(
                    f"it was learned beside a policy of its own, {name} {known}, and book {book} has {has}: open one "
                    f"with --agents {name}=FOLDER, its folder in {POLICIES} of the checkpoint"
                )


def scope(policies: Mapping[str, Packed]) -> str:
    """Return what is trained, in words; policies: of the agents that are."""
    return f"the meta-learner, and from nothing the agents {', '.join(policies)}" if policies else SCOPE


def learned(
    manager: MetaLearningEnsembleManager, policies: Mapping[str, Packed] = MappingProxyType({})
) -> Learned:
    """Return what a learner, and the agents that are trained, know as checkpoints hold it."""
    return Learned(to_bytes(manager, {"scope": scope(policies)}), tuple(policies.items()))


def write(
    folder: Path,
    manager: MetaLearningEnsembleManager,
    story: dict[str, Any],
    samples: bytes = b"",
    policies: Mapping[str, Packed] = MappingProxyType({}),
) -> None:
    """Write the weights of a learner as a checkpoint into `folder`, in place of the one that is there.

    story: entries for checkpoint.json beside those that describe the weights; samples, policies: as `Checkpoint` says.
    """
    folder.mkdir(parents=True, exist_ok=True)
    known = {name: _folder_of(name, policy) for name, policy in policies.items()}
    for name, policy in policies.items():
        write_packed(folder / POLICIES / known[name], policy)
    contents = {
        "format": _FORMAT,
        **_written(folder, "learner", learned(manager, policies).raw, ("weights", "sha256")),
        **(_written(folder, "samples", samples, ("samples", "samples_sha256")) if samples else {}),
        **({POLICIES: known} if known else {}),
        "trained": scope(policies),
        "data": "SIMULATED markets",
        "computed_by": this_program()._asdict(),
        **story,
    }
    replace_file(folder / STORY, (json.dumps(contents, indent=2) + "\n").encode())
    for kind in ("learner", "samples"):
        for old in folder.glob(f"{kind}-*.safetensors"):
            if old.name not in contents.values():
                old.unlink()
    for old in (folder / POLICIES).glob("*"):
        if old.name not in known.values():
            shutil.rmtree(old)


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
        folders = {str(name): str(folder) for name, folder in story.get(POLICIES, {}).items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{path / STORY} is damaged: choose another checkpoint") from error
    if story.get("format") != _FORMAT:
        program = story.get("computed_by")
        writer = program.get("version", FIRST) if isinstance(program, dict) else FIRST
        raise WeightsError(
            f"{path} is of format {story.get('format')}, written by windvane {writer}, and this one reads format "
            f"{_FORMAT}: run windvane {writer} or newer"
        )
    raw, *samples = (_read(path, name, wanted) for name, wanted in files)
    policies = {name: _policy(path / POLICIES, name, folder) for name, folder in folders.items()}
    return Checkpoint(raw, story, samples[0] if samples else b"", policies)


def _folder_of(name: str, policy: Packed) -> str:
    """The name of a policy's folder: its id and the digest of its form, which names the digest of its weights."""
    return f"{name}-{weights.digest(policy.form)[:16]}"


def _policy(folder: Path, name: str, wanted: str) -> Packed:
    """The policy of an agent; raises WeightsError where it is not the one that the story names."""
    if Path(wanted).name != wanted:
        raise WeightsError(f"{folder} lacks its policy {wanted!r}: choose another checkpoint")
    try:
        policy = read_packed(folder / wanted)
        unpacked(policy)
    except LearnedError as error:
        raise WeightsError(f"{folder / wanted}: {error}") from error
    if _folder_of(name, policy) != wanted:
        raise WeightsError(f"{folder / wanted} is not what {STORY} names: choose another checkpoint")
    return policy


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

    manager: the learner; ensemble: the ensemble that it weighs for; agents: who makes its agents.
    """

    def __init__(self, manager: MetaLearningEnsembleManager, ensemble: Any, agents: Agents) -> None:
        self._manager, self._ensemble, self._agents = manager, ensemble, agents

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
        WeightsError where they do not pass, or were learned beside other policies; the ensemble then keeps its weights.
        """
        checkpoint = read(Path(path))
        if checkpoint.policies and checkpoint.policies != self._agents.policies:
            raise WeightsError(
                f"{path} was learned beside policies of its own ({', '.join(checkpoint.policies)}): let a trainer "
                "resume it, or give it to a MetaLearningEvaluator"
            )
        return swapping.swap(self._manager, checkpoint.raw).about

    def save_meta_models(self, path: str | Path) -> None:
        """Write the learner's weights as a checkpoint into the folder `path`."""
        agents = {"agents": list(self._manager.agents)}
        write(Path(path), self._manager, agents, policies=self._agents.policies)
