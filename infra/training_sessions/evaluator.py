"""MetaLearningEvaluator: evaluates a checkpoint on markets that nothing was trained on, or trades with it."""

import json
import math
from pathlib import Path
from typing import Any

from windvane.agents.factory import AGENTS
from windvane.agents.naming import named
from windvane.infra.policies.folder import unpacked
from windvane.infra.runs.files import replace_file
from windvane.infra.runs.progress import bar
from windvane.infra.training_sessions import checkpoints, evaluation
from windvane.infra.training_sessions.agents import Agents, trained_ids
from windvane.infra.training_sessions.episodes import Session, ensemble, known, play
from windvane.infra.training_sessions.page import page
from windvane.metamodel.base.config import ConfigError, check
from windvane.metamodel.learning.learned import load
from windvane.metamodel.settings.meta_config import PARAMETERS, MetaLearningConfig
from windvane.metamodel.simulation.seeds import EPISODES

RESULTS = "evaluation_results"
NOTICE = "it says how the program behaves where regimes have an edge by construction, not what a market pays"


class MetaLearningEvaluator(Session):
    """Loads and verifies a checkpoint, to evaluate it or to trade with it row by row by `meta_ensemble`.

    model_path: the checkpoint's folder, or a file of weights. config: None takes the checkpoint's own; later changes
    of it are in effect from then on, or refused by ConfigError. Agents that the session trained are the policies of the
    checkpoint. Raises WeightsError where the checkpoint is damaged or
    belongs to other agents.
    """

    def __init__(self, model_path: str | Path, config: MetaLearningConfig | None = None) -> None:
        self.model_path = Path(model_path)
        self._checkpoint = checkpoints.read(self.model_path)
        config = config or _config(self._checkpoint.story)
        _check_policies(config, self._checkpoint)
        super().__init__(config, Agents(self._checkpoint.policies))
        self.meta_learning_manager = checkpoints.SessionManager(
            self.meta_ensemble.manager, self.meta_ensemble, self.agents
        )
        load(self.meta_ensemble.manager, self._checkpoint.raw)

    def evaluate_comprehensive(
        self, num_episodes: int = 50, max_steps_per_episode: int | None = 1000, save_results: bool = True
    ) -> dict[str, Any]:
        """Evaluate the checkpoint on simulated markets that nothing was trained on, and return all figures.

        The ensemble trades each market from the checkpoint's state on, one after another, and blocks until the last.
        max_steps_per_episode: rows of a market after the warm-up, None for the environment's own number. The result has
        portfolio_metrics, meta_learning_metrics, adaptation_curve, agent_comparison, regime_analysis, decision_analysis
        and episodes, and feature_analysis where the config asks for it. save_results: write results.json and
        report.html to the folder evaluation_results beside the checkpoint; a figure that is NaN is null there. Raises
        ConfigError for a number out of range.
        """
        check(
            1 <= num_episodes <= len(EPISODES), f"num_episodes is {num_episodes}: give 1 to {len(EPISODES)}"
        )
        check(
            max_steps_per_episode is None or max_steps_per_episode >= 1,
            f"max_steps_per_episode is {max_steps_per_episode}: give 1 or more",
        )
        # A separate ensemble, so that `meta_ensemble`, which may be trading, is not disturbed.
        trial = ensemble(self.config, self.env, self.agents)
        played = []
        with bar("evaluation", num_episodes) as progress:
            for number, seed in enumerate(EPISODES[:num_episodes]):
                load(trial.manager, self._checkpoint.raw)
                played.append(play(trial, self.env, seed, max_steps_per_episode))
                progress(number + 1)
        settings, names = self.config, trial.config.agents
        adapting, curve = evaluation.adapting(played)
        results: dict[str, Any] = {
            "data": "SIMULATED markets",
            "notice": NOTICE,
            "market": getattr(self.env, "market", type(self.env).__name__),
            "costs": {"fee_bp": self.env.costs.fee_bp, "delay": self.env.costs.delay},
            "model": str(self.model_path),
            "trained": checkpoints.scope(self.agents.policies),
            "portfolio_metrics": evaluation.portfolio(played),
            "meta_learning_metrics": evaluation.meta_learning(played) | adapting,
            "adaptation_curve": curve,
            "agent_comparison": evaluation.agents(played),
            "regime_analysis": evaluation.regimes(
                played, names, settings.regime_history_window, settings.regime_stability_threshold
            ),
            "decision_analysis": evaluation.decisions(played),
            "episodes": [known(one.figures()) for one in played],
        }
        if settings.feature_analysis:
            data = trial.desk.data
            results["feature_analysis"] = evaluation.features(data.market_features, data.agent_scores, names)
            results["feature_samples"] = len(data.market_features)
        if save_results:
            folder = self.results
            folder.mkdir(parents=True, exist_ok=True)
            replace_file(folder / "results.json", _json(results))
            replace_file(folder / "report.html", page(results, played).encode())
        return results

    @property
    def results(self) -> Path:
        """The folder that `evaluate_comprehensive` writes its files to."""
        return self.model_path.resolve().parent / RESULTS


def _check_policies(config: MetaLearningConfig, checkpoint: checkpoints.Checkpoint) -> None:
    """Raise ConfigError where a config means other policies than those that a checkpoint holds."""
    found = {name: unpacked(policy).form.hidden for name, policy in checkpoint.policies.items()}
    named = trained_ids(config)
    if found and found.keys() != named.keys():
        raise ConfigError(
            f"the checkpoint has policies of {', '.join(found)}, the config has {', '.join(named) or 'no'} agents that "
            "learn: name those of the session"
        )
    if config.net_dims is not None and set(found.values()) != {config.net_dims}:
        raise ConfigError(
            f"net_dims is {config.net_dims}, and the checkpoint holds no policies with such layers: set it to None"
        )


def _json(results: dict[str, Any]) -> bytes:
    """The results as JSON, which has no NaN: such a figure is null."""
    figures = results["meta_learning_metrics"].items()
    plain = {
        name: None if isinstance(value, float) and math.isnan(value) else value for name, value in figures
    }
    text = json.dumps(results | {"meta_learning_metrics": plain}, indent=2, allow_nan=False)
    return f"{text}\n".encode()


def _config(story: dict[str, Any]) -> MetaLearningConfig:
    """The config that checkpoint.json holds, without settings that this release does not know."""
    saved = story.get("config", {})
    strangers = [word for word in saved.get("agents", ()) if named(word).origin not in AGENTS]
    if strangers:
        raise ConfigError(
            f"the checkpoint is of agents that are not built in ({', '.join(strangers)}): give a config whose agents "
            "name their classes or folders"
        )
    config = MetaLearningConfig(**{name: value for name, value in saved.items() if name in PARAMETERS})
    config.preset = str(story.get("preset", "balanced"))
    config.env_args = {**config.env_args, **story.get("env_args", {})}
    return config
