"""MetaLearningEnsembleTrainer: trains the meta-learner over episodes of SIMULATED markets, with checkpoints.

The meta-learner learns how to weigh the agents. With `net_dims` the agents dqn, ppo and rainbow learn beside it.
"""

import itertools
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from windvane.infra.runs.progress import bar
from windvane.infra.training_sessions import checkpoints
from windvane.infra.training_sessions.agents import Agents
from windvane.infra.training_sessions.alerting import send_alert
from windvane.infra.training_sessions.choosing import Choosing
from windvane.infra.training_sessions.episodes import EpisodeResult, Session, known, traded
from windvane.infra.training_sessions.learning import SessionLearners
from windvane.infra.training_sessions.resources import LARGE_MB, monitor_resources
from windvane.infra.training_sessions.retraining import Retrained, SessionRetraining, restore, stored
from windvane.metamodel.base.arrays import arrays, copied, write
from windvane.metamodel.base.config import ConfigError, check
from windvane.metamodel.base.weights import WeightsError
from windvane.metamodel.learning.learned import load
from windvane.metamodel.settings.meta_config import MetaLearningConfig
from windvane.metamodel.simulation.seeds import SESSIONS
from windvane.metamodel.trader.tracker import Decided

START, BEST, FINAL, INTERRUPTED = "initial_session", "best_models", "final_session", "interrupted_session"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class MetaLearningEnsembleTrainer(Session):
    """Trains the meta-learner episode by episode; every episode is a simulated market of its own, of 15-minute ticks.

    config: its later changes are in effect from the next episode or row on, but a setting that is fixed once the
    ensemble exists (agents, regime_features_dim, max_orders, delay and a few more) is then refused by ConfigError.
    team_name: a name for logs, alerts and checkpoints. save_dir: the folder of checkpoints and logs.
    With `net_dims`, raises ConfigError where no agent learns, and LearnedError where torch is missing.

    `training_stats` is a dictionary that grows with every episode: episodes_completed; total_steps, rows after the
    warm-up; samples, of 32 ticks, that were gathered for the predictor; meta_learning_updates, how often the predictor
    was trained on them; predictor_swaps, how often it was better by that and replaced the old one; best_performance,
    the mean Sharpe ratio of best_models on markets that are not learned on, None before the first session;
    episode_rewards, episode_sharpe_ratios and evaluations, one entry each; and with `net_dims` learning, as the last
    episode returned it.
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
        seed = config.env_args.get("seed") or 0
        self._learners = SessionLearners(config, seed) if config.net_dims is not None else None
        super().__init__(config, Agents({} if self._learners is None else self._learners.policies()))
        self.team_name, self.save_dir = team_name, Path(save_dir)
        self.meta_learning_manager = checkpoints.SessionManager(
            self.meta_ensemble.manager, self.meta_ensemble, self.agents
        )
        retrains = self.meta_ensemble.config.weighing.retraining
        self._retraining = SessionRetraining(self.meta_ensemble) if retrains else None
        self._choosing = Choosing(self)
        self.training_stats: dict[str, Any] = {
            "episodes_completed": 0,
            "total_steps": 0,
            "samples": 0,
            "meta_learning_updates": 0,
            "predictor_swaps": 0,
            "best_performance": None,
            "episode_rewards": [],
            "episode_sharpe_ratios": [],
            "evaluations": [],
            **({} if self._learners is None else {"learning": {}}),
        }

    def train_episode(self, episode_num: int, max_steps: int | None = None) -> dict[str, Any]:
        """Train on the market of one episode and return its figures, among them total_reward and sharpe_ratio.

        With `net_dims`, `learning` has by agent the mean `loss` of the episode, and `transitions` and `updates` of all.
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
            result, retrained, learning = self._played(seed, max_steps)
        finally:
            self._ensemble.listen(None)
        stats = self.training_stats
        stats["episodes_completed"] += 1
        stats["total_steps"] += len(result.label)
        stats["samples"] += retrained.samples
        stats["meta_learning_updates"] += retrained.outcome != ""
        stats["predictor_swaps"] += retrained.outcome == "swapped"
        figures = {
            "episode": episode_num,
            **result.figures(),
            "samples": retrained.samples,
            "predictor": retrained.outcome or "not trained",
            **learning,
            "seconds": time.monotonic() - began,
        }
        stats.update(learning)
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

    def _played(
        self, seed: int, max_steps: int | None
    ) -> tuple[EpisodeResult, Retrained, dict[str, dict[str, Any]]]:
        """Learn from a market, and retrain; broken off by whatever it is, the learners know what they knew before."""
        manager, learners = self.meta_ensemble.manager, self._learners
        before = arrays(copied(manager.learner.learned))
        agents, learning = {} if learners is None else learners.state(), {}
        try:
            episode = self.env.episode(seed, max_steps)
            result = traded(self.meta_ensemble, episode, seed)
            if learners is not None:
                learning = {"learning": learners.learn(episode.rows, self.env.costs, seed)}
            retrained = self._retraining.after_episode() if self._retraining is not None else Retrained(0, "")
        except BaseException:
            write(arrays(manager.learner.learned), before)
            if learners is not None:
                learners.restore(agents)
            raise
        if learners is not None:
            self.agents.policies = learners.policies()
        return result, retrained, learning

    def train_full_session(
        self,
        num_episodes: int = 100,
        save_interval: int | None = None,
        evaluation_interval: int | None = None,
        max_steps: int | None = None,
    ) -> dict[str, Any]:
        """Train `num_episodes` episodes and return `training_stats`, what it was worth, and the paths of checkpoints.

        save_interval: a checkpoint is written every so many episodes. evaluation_interval: every so many episodes the
        learner is evaluated on markets that are not learned on; best_models holds the learner that the session began
        with until one is better by more than the standard error of the difference. None takes either from the config,
        and both count all episodes of the trainer. The session ends early after `config.break_step` ticks. The last
        state is saved as final_session, and after Ctrl-C as interrupted_session. Raises ConfigError for a number below
        1.

        training_gain and best_models_gain are what final_session and best_models are worth: mean difference of Sharpe
        ratios to the learner that the session began with, and its 95 % interval (low, high), on markets on which
        nothing was learned and nothing was chosen.
        """
        saving = self.config.save_interval if save_interval is None else save_interval
        every = self.config.evaluation_interval if evaluation_interval is None else evaluation_interval
        for name, value in (
            ("num_episodes", num_episodes),
            ("save_interval", saving),
            ("evaluation_interval", every),
        ):
            check(value >= 1, f"{name} is {value}: give 1 or more")
        began, first = time.monotonic(), int(self.training_stats["episodes_completed"])
        markets = num_episodes + self.config.evaluation_markets * (-(-num_episodes // every) + 4)
        with bar(self.team_name, markets) as progress:
            count = itertools.count(1)

            def played() -> None:
                progress(next(count))

            try:
                self._open(max_steps, played)
                written = self._train(range(first, first + num_episodes), (saving, every), max_steps, played)
            except KeyboardInterrupt:
                self.save_checkpoint(INTERRUPTED)
                raise
            final = self.save_checkpoint(FINAL)
            gains = self._choosing.gains(played)
        return {
            **self.training_stats,
            **dict(zip(("training_gain", "best_models_gain"), gains, strict=True)),
            "episodes": int(self.training_stats["episodes_completed"]) - first,
            "checkpoints": [str(p) for p in written],
            "final_session": str(final),
            "best_models": str(self.save_dir / BEST),
            "trained": checkpoints.scope(self.agents.policies),
            "data": "SIMULATED markets",
            "seconds": time.monotonic() - began,
        }

    def _train(
        self, episodes: range, intervals: tuple[int, int], max_steps: int | None, played: Callable[[], None]
    ) -> list[Path]:
        """Train these episodes, with checkpoints and evaluations at two intervals; returns the checkpoints' folders.

        The intervals count all episodes of the trainer, so a session in parts has the evaluations of the whole.
        """
        saving, every = intervals
        written = []
        if episodes.start % every == 0:
            self._judge(played)
        for episode in episodes:
            if self.training_stats["total_steps"] >= self.config.break_step:
                break
            self.train_episode(episode, max_steps)
            played()
            if (episode + 1) % every == 0:
                self._judge(played)
            if (episode + 1) % saving == 0:
                written.append(self.save_checkpoint(f"episode_{episode + 1}"))
        self._judge(played)
        return written

    def evaluate(self, max_steps: int | None = None) -> float:
        """Return the mean annualised Sharpe ratio on `evaluation_markets` markets from which nothing is learned.

        max_steps: ticks of each after the warm-up, None for the environment's own number; never fewer than 5,000.
        """
        return self._choosing.evaluate(max_steps)

    def _open(self, max_steps: int | None, played: Callable[[], None]) -> None:
        """Judge what the session begins with; that is the best until another is better."""
        begins = self._choosing.open(max_steps, played)
        self.training_stats["best_performance"] = self._choosing.best_performance
        if begins:
            self._told(self._choosing.choice.first())
            self.save_checkpoint(START)
            self.save_checkpoint(BEST)

    def _judge(self, played: Callable[[], None]) -> None:
        """Evaluate the learner, unless it was since its last episode, and save it where it is the best beyond noise."""
        stats = self.training_stats
        if stats["evaluations"][-1]["episode"] == stats["episodes_completed"]:
            return
        figures = self._choosing.judge(played)
        stats["best_performance"] = self._choosing.best_performance
        self._told(figures)
        if figures["kept"]:
            self.save_checkpoint(BEST)

    def _told(self, figures: dict[str, Any]) -> None:
        """Add the figures of an evaluation to the statistics."""
        episode = self.training_stats["episodes_completed"]
        self.training_stats["evaluations"].append({"episode": episode, **figures})

    def resume(self, checkpoint_name: str = INTERRUPTED) -> None:
        """Go on where a checkpoint in save_dir was written: the next session comes to what that one would have come to.

        The learner, the samples that were gathered and `training_stats` are the checkpoint's; what the session began
        with and the best of it so far are those in save_dir. Raises WeightsError where something of that is missing,
        damaged or of other agents, and changes nothing then.
        """
        checkpoint = checkpoints.read(self.save_dir / checkpoint_name)
        if not checkpoint.samples:
            raise WeightsError(
                f"{checkpoint_name} holds no samples to go on from: take its weights alone by "
                "meta_learning_manager.load_meta_models"
            )
        stats = checkpoint.story.get("training_stats", {})
        if stats.keys() != self.training_stats.keys():
            raise WeightsError(
                f"{checkpoint_name} lacks statistics of its session: choose another checkpoint"
            )
        known = None
        if stats["evaluations"]:
            start, best = (checkpoints.read(self.save_dir / name).learned for name in (START, BEST))
            known = start, best
        ensemble = self.meta_ensemble
        before = checkpoints.learned(ensemble.manager).raw
        load(ensemble.manager, checkpoint.raw)
        try:
            restore(ensemble, self._retraining, self._learners, checkpoint.samples)
        except WeightsError:
            load(ensemble.manager, before)
            raise
        if self._learners is not None:
            self.agents.policies = self._learners.policies()
        self.training_stats.update(stats)
        self._choosing.resume(known)

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
            "config": self.config.recorded(),
            "env_args": self.config.env_args,
            "training_stats": self.training_stats,
        }
        samples = stored(self.meta_ensemble, self._retraining, self._learners)
        checkpoints.write(folder, self.meta_ensemble.manager, story, samples, self.agents.policies)
        return folder

    def _save_checkpoint(self, checkpoint_name: str) -> Path:
        """Do the same as `save_checkpoint`; this is the name that older programs call."""
        return self.save_checkpoint(checkpoint_name)

    def _log(self, name: str, lines: list[dict[str, Any]]) -> None:
        """Append JSON lines to a file in save_dir."""
        self.save_dir.mkdir(parents=True, exist_ok=True)
        with (self.save_dir / name).open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(known(line)) + "\n" for line in lines)
