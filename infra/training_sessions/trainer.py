"""MetaLearningEnsembleTrainer: trains the meta-learner over episodes of SIMULATED markets, with checkpoints.

The meta-learner learns how to weigh the agents. The agents are fixed rules and are not trained.
"""

import json
import re
import time
from pathlib import Path
from typing import Any

import numpy as np

from windvane.infra.runs.progress import bar
from windvane.infra.training_sessions import checkpoints
from windvane.infra.training_sessions.alerting import send_alert
from windvane.infra.training_sessions.episodes import EpisodeResult, Session, ensemble, known, play
from windvane.infra.training_sessions.resources import LARGE_MB, monitor_resources
from windvane.infra.training_sessions.retraining import SessionRetraining
from windvane.metamodel.base.config import ConfigError, check
from windvane.metamodel.learning.learned import load, to_bytes
from windvane.metamodel.learning.members.contextual import HORIZON
from windvane.metamodel.settings.meta_config import MetaLearningConfig
from windvane.metamodel.simulation.seeds import CHOOSING, SESSIONS
from windvane.metamodel.trader.tracker import Decided

BEST, FINAL, INTERRUPTED = "best_models", "final_session", "interrupted_session"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_JUDGED = 4
"""Number of markets on which a session is evaluated; nothing is ever learned from them."""


class MetaLearningEnsembleTrainer(Session):
    """Trains the meta-learner episode by episode; every episode is a simulated market of its own, of 15-minute ticks.

    config: its later changes are in effect from the next episode or row on, but a setting that is fixed once the
    ensemble exists (agents, regime_features_dim, max_orders, delay and a few more) is then refused by ConfigError.
    team_name: a name for logs, alerts and checkpoints. save_dir: the folder of checkpoints and logs.

    `training_stats` is a dictionary that grows with every episode: episodes_completed; total_steps, rows after the
    warm-up; best_performance, the highest mean Sharpe ratio on markets that are not learned on, None before the first
    evaluation; meta_learning_updates, the versions of the learner that were due, one for every
    `meta_training_frequency` samples of 32 ticks; predictor_swaps, how often a retrained predictor replaced the old
    one; episode_rewards, episode_sharpe_ratios and evaluations, one entry each.
    """

    def __init__(
        self,
        config: MetaLearningConfig,
        team_name: str = "windvane",
        save_dir: str | Path = "./meta_learning_models",
    ) -> None:
        if not isinstance(config, MetaLearningConfig):
            raise ConfigError("config is no MetaLearningConfig: make one with create_meta_learning_config")
        check(bool(team_name.strip()), "team_name is empty: give a name")
        super().__init__(config)
        self.team_name, self.save_dir = team_name, Path(save_dir)
        self.meta_learning_manager = checkpoints.SessionManager(
            self.meta_ensemble.manager, self.meta_ensemble
        )
        retrains = self.meta_ensemble.config.weighing.retraining
        self._retraining = SessionRetraining(self.meta_ensemble) if retrains else None
        self.training_stats: dict[str, Any] = {
            "predictor_swaps": 0,
            "episodes_completed": 0,
            "total_steps": 0,
            "samples": 0,
            "meta_learning_updates": 0,
            "best_performance": None,
            "episode_rewards": [],
            "episode_sharpe_ratios": [],
            "evaluations": [],
        }

    def train_episode(self, episode_num: int, max_steps: int | None = None) -> dict[str, Any]:
        """Train on the market of one episode and return its figures, among them total_reward and sharpe_ratio.

        episode_num: 0 or more; equal numbers mean equal markets. max_steps: ticks after the warm-up, None for the
        environment's own number. Blocks for the whole episode. Raises ConfigError for a number out of range.
        """
        check(episode_num >= 0, f"episode_num is {episode_num}: give 0 or more")
        check(max_steps is None or max_steps >= 1, f"max_steps is {max_steps}: give 1 or more")
        began = time.monotonic()
        first = self.config.env_args.get("seed") or 0
        seed = SESSIONS[(first + episode_num) % len(SESSIONS)]
        decided: list[Decided] = []
        self.meta_ensemble.listen(decided.append if self.config.detailed_logging else None)
        try:
            result = play(self.meta_ensemble, self.env, seed, max_steps)
        finally:
            self._ensemble.listen(None)
        stats = self.training_stats
        if self._retraining is not None:
            stats["predictor_swaps"] += self._retraining.after_episode()
        stats["episodes_completed"] += 1
        stats["total_steps"] += len(result.label)
        stats["samples"] += len(result.label) // HORIZON
        every = self.meta_ensemble.config.weighing.meta_training_frequency
        stats["meta_learning_updates"] = stats["samples"] // every
        figures = {"episode": episode_num, **result.figures(), "seconds": time.monotonic() - began}
        stats["episode_rewards"].append(figures["total_reward"])
        stats["episode_sharpe_ratios"].append(known(figures)["sharpe_ratio"])
        if self.config.real_time_monitoring:
            figures["memory_mb"], figures["cpu_percent"] = monitor_resources()
            if figures["memory_mb"] > LARGE_MB:
                send_alert(f"{self.team_name}: {figures['memory_mb']:.0f} MB of memory in use")
        self._log("episodes.jsonl", [figures])
        if self.config.detailed_logging:
            self._log("decisions.jsonl", [{"episode": episode_num, **d._asdict()} for d in decided])
        return figures

    def train_full_session(
        self,
        num_episodes: int = 100,
        save_interval: int | None = None,
        evaluation_interval: int | None = None,
        max_steps: int | None = None,
    ) -> dict[str, Any]:
        """Train `num_episodes` episodes and return `training_stats`, with the paths of the checkpoints.

        save_interval: a checkpoint is written every so many episodes. evaluation_interval: every so many episodes the
        learner is evaluated on markets that are not learned on, and the best one so far is kept in best_models. None
        takes either from the config. The session ends early after `config.break_step` ticks. The last state is saved
        as final_session, and after Ctrl-C as interrupted_session. Raises ConfigError for a number below 1.
        """
        saving = self.config.save_interval if save_interval is None else save_interval
        judging = self.config.evaluation_interval if evaluation_interval is None else evaluation_interval
        for name, value in (
            ("num_episodes", num_episodes),
            ("save_interval", saving),
            ("evaluation_interval", judging),
        ):
            check(value >= 1, f"{name} is {value}: give 1 or more")
        began, written, judged = time.monotonic(), [], False
        first = int(self.training_stats["episodes_completed"])
        try:
            with bar(self.team_name, num_episodes) as progress:
                for episode in range(first, first + num_episodes):
                    if self.training_stats["total_steps"] >= self.config.break_step:
                        break
                    self.train_episode(episode, max_steps)
                    done = episode - first + 1
                    judged = done % judging == 0
                    if judged:
                        self._judge(max_steps)
                    if done % saving == 0:
                        written.append(self.save_checkpoint(f"episode_{episode + 1}"))
                    progress(done)
        except KeyboardInterrupt:
            self.save_checkpoint(INTERRUPTED)
            raise
        if not judged:
            self._judge(max_steps)
        final = self.save_checkpoint(FINAL)
        return {
            **self.training_stats,
            "episodes": int(self.training_stats["episodes_completed"]) - first,
            "checkpoints": [str(p) for p in written],
            "final_session": str(final),
            "best_models": str(self.save_dir / BEST),
            "trained": checkpoints.SCOPE,
            "data": "SIMULATED markets",
            "seconds": time.monotonic() - began,
        }

    def evaluate(self, max_steps: int | None = None) -> float:
        """Return the mean annualised Sharpe ratio on four markets from which nothing is learned.

        max_steps: ticks of each after the warm-up, None for the environment's own number.
        """
        return float(np.mean([result.sharpe() for result in self._played(max_steps)]))

    def _played(self, max_steps: int | None) -> list[EpisodeResult]:
        """The results of a copy of the learner on the markets for evaluation; the learner itself stays as it is."""
        raw = to_bytes(self.meta_ensemble.manager, {})
        trial = ensemble(self.config, self.env)
        results = []
        for seed in CHOOSING[:_JUDGED]:
            load(trial.manager, raw)
            results.append(play(trial, self.env, seed, max_steps))
        return results

    def _judge(self, max_steps: int | None) -> None:
        """Evaluate the learner, and save it as best_models where no evaluation before was better."""
        stats = self.training_stats
        sharpe = self.evaluate(max_steps)
        stats["evaluations"].append({"episode": stats["episodes_completed"], "mean_sharpe_ratio": sharpe})
        if stats["best_performance"] is None or sharpe > stats["best_performance"]:
            stats["best_performance"] = sharpe
            self.save_checkpoint(BEST)

    def save_checkpoint(self, checkpoint_name: str) -> Path:
        """Write the learner's weights as a checkpoint to save_dir/checkpoint_name, and return that folder.

        Raises ConfigError for a name with characters other than letters, digits, dots, dashes and underscores.
        """
        if _NAME.fullmatch(checkpoint_name) is None:
            raise ConfigError(
                f"checkpoint_name is {checkpoint_name!r}: give letters, digits, dots, dashes or underscores"
            )
        folder = self.save_dir / checkpoint_name
        story = {
            "team_name": self.team_name,
            "preset": self.config.preset,
            "config": self.config.values(),
            "env_args": self.config.env_args,
            "training_stats": self.training_stats,
        }
        checkpoints.write(folder, self.meta_ensemble.manager, story)
        return folder

    def _save_checkpoint(self, checkpoint_name: str) -> Path:
        """Do the same as `save_checkpoint`; this is the name that older programs call."""
        return self.save_checkpoint(checkpoint_name)

    def _log(self, name: str, lines: list[dict[str, Any]]) -> None:
        """Append JSON lines to a file in save_dir."""
        self.save_dir.mkdir(parents=True, exist_ok=True)
        with (self.save_dir / name).open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(known(line)) + "\n" for line in lines)
