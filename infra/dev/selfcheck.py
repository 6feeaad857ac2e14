"""Checks by which an installed Windvane tests itself: of its parts one by one, and of the whole from end to end.

Every check is a function that raises CheckError where something is wrong. Its name is written to stderr as a sentence,
with the reason where it failed.
"""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from windvane.agents.factory import AGENTS, create_agents
from windvane.infra.runs.configuration import MetaLearningConfigManager
from windvane.infra.runs.progress import say
from windvane.infra.training.trainer import has_torch
from windvane.infra.training_sessions.evaluator import MetaLearningEvaluator
from windvane.infra.training_sessions.trainer import MetaLearningEnsembleTrainer
from windvane.metamodel.base.config import ConfigError, TradingConfig, default_stale_after, digest
from windvane.metamodel.base.limits import RiskLimits
from windvane.metamodel.base.rows import WARMUP as WARMING
from windvane.metamodel.features.extractor import WARMUP
from windvane.metamodel.regimes.classifier import MarketRegimeClassifier
from windvane.metamodel.settings.meta_config import MetaLearningConfig
from windvane.metamodel.settings.presets import PRESETS, made
from windvane.metamodel.simulation.episodes import Episode, SimulatedEpisodes
from windvane.metamodel.simulation.market import BAR
from windvane.metamodel.trader.trader import MetaLearningRiskManagedEnsemble
from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.events import BookClosed, BookOpened, Decisions, Event, Ticks
from windvane.streams.topics import Topic

_STEPS = 400
_ROWS = WARMUP + _STEPS


class CheckError(AssertionError):
    """A check failed; the message says what is wrong."""


def _must(condition: bool, sentence: str) -> None:
    """Raise CheckError with `sentence` where `condition` is false."""
    if not condition:
        raise CheckError(sentence)


def _episode() -> Episode:
    """The simulated market on which the checks run."""
    return SimulatedEpisodes(max_steps=_STEPS).episode(7)


def features_are_finite() -> None:
    """Check that all 50 features of a simulated market are finite, and that the warm-up has its stated length."""
    rows = _episode().rows
    _must(rows.x.shape == (_ROWS, 50) and bool(np.isfinite(rows.x).all()), "a feature is not finite")
    _must(int((rows.flags & WARMING).astype(bool).sum()) == WARMUP, "the warm-up has another length")


def regimes_are_probabilities() -> None:
    """Check that the probabilities of regimes sum to 1, and do not depend on how rows are cut into calls."""
    rows = _episode().rows
    whole = MarketRegimeClassifier().step(rows.x, rows.flags)
    _must(bool(np.allclose(whole.sum(axis=1), 1.0)) and whole.min() >= 0.0, "a posterior does not sum to 1")
    parts = MarketRegimeClassifier()
    cut = np.vstack([parts.step(rows.x[:301], rows.flags[:301]), parts.step(rows.x[301:], rows.flags[301:])])
    _must(cut.tobytes() == whole.tobytes(), "the posterior depends on how rows are cut")


def agents_stay_in_range() -> None:
    """Check that every agent's targets lie in [-1, 1] and confidences in [0, 1], and do not depend on later rows."""
    rows, good = _episode().rows, np.ones(_ROWS, np.int64)
    for name in AGENTS:
        whole = create_agents([name])[0].propose(rows.x, rows.mid, good)
        half = create_agents([name])[0].propose(rows.x[:700], rows.mid[:700], good[:700])
        _must(bool((np.abs(whole.target) <= 1.0).all()), f"{name} wants more than all capital")
        _must(
            bool(((whole.confidence >= 0) & (whole.confidence <= 1)).all()), f"{name} is too sure of itself"
        )
        _must(half.target.tobytes() == whole.target[:700].tobytes(), f"{name} looks into the future")


def weights_keep_their_limits() -> None:
    """Check for every preset that weights sum to 1 and respect their cap, and positions their limit."""
    rows = _episode().rows
    for name in PRESETS:
        config = made(name, custom_params={"max_position": 0.5})
        whole = MetaLearningRiskManagedEnsemble(config.trading(interval=BAR))
        out = whole.desk.play(rows).round.outputs
        _must(bool(np.allclose(out.weights.sum(axis=1), 1.0)), f"{name}: weights do not sum to 1")
        _must(
            out.weights[WARMUP:].max() <= config.max_agent_weight + 1e-9, f"{name}: a weight is over its cap"
        )
        over = float(np.abs(out.target).max()) - 0.5  # less than the smallest order is not traded away
        _must(over <= 2 * whole.config.min_order, f"{name}: a target is over max_position")


def settings_are_refused_where_they_do_not_fit() -> None:
    """Check that unknown settings, values out of range and values of a wrong type raise ConfigError."""
    for values in ({"max_agent_wieght": 0.5}, {"max_agent_weight": 1.5}, {"meta_epochs": "many"}):
        try:
            MetaLearningConfig(**values)
        except ConfigError:
            continue
        raise CheckError(f"{values} was accepted")
    _must(MetaLearningConfig().limits() == RiskLimits(), "limits differ from their defaults")


def files_hold_what_was_set() -> None:
    """Check that a config written to JSON or TOML is read back with equal settings."""
    with tempfile.TemporaryDirectory() as folder:
        for suffix in ("json", "toml"):
            config = made("conservative")
            MetaLearningConfigManager.save_config_to_file(config, Path(folder) / f"c.{suffix}")
            again = MetaLearningConfigManager.load_config_from_file(Path(folder) / f"c.{suffix}")
            _must(again.trading() == config.trading(), f"a config in {suffix} is not read as it was written")


def _pipeline(batch: int, config: TradingConfig) -> list[Decisions]:
    """The decisions of an embedded pipeline that is fed `batch` rows at a time."""
    rows, decisions = _episode().rows, []

    def listen(topic: Topic, event: Event) -> None:
        if isinstance(event, Decisions):
            decisions.append(event)

    runner = EmbeddedRunner(listen)
    runner.feed([BookOpened(book="check", config=config, digest=digest(config))])
    for start in range(0, _ROWS, batch):
        part = slice(start, start + batch)
        columns = {n: getattr(rows, n)[part].copy() for n in ("ts", "price", "size", "bid", "ask")}
        seq = np.arange(_ROWS)[part]
        runner.feed([Ticks(book="check", seq=seq, flags=np.zeros(len(seq), np.int64), **columns)])
    runner.feed([BookClosed(book="check", last=_ROWS - 1)])
    return decisions


def the_pipeline_gives_the_same_bytes() -> None:
    """Check that the pipeline decides the same, to the last bit, for all rows at once and for 97 at a time."""
    config = made().trading(interval=BAR, stale_after=default_stale_after(BAR))
    targets = [np.concatenate([d.target for d in _pipeline(batch, config)]) for batch in (_ROWS, 97)]
    _must(len(targets[0]) == _ROWS, "a row has no decision")
    _must(targets[0].tobytes() == targets[1].tobytes(), "decisions depend on how rows are cut")


def a_session_trains_saves_and_is_evaluated() -> None:
    """Check that a session trains two episodes and saves checkpoints, which can be evaluated, traded with and loaded.

    The predictor is retrained, too, where torch is installed.
    """
    with tempfile.TemporaryDirectory() as folder:
        custom = {"performance_prediction_enabled": has_torch(), "evaluation_markets": 2}
        config = made("balanced", {"max_steps": _STEPS}, custom)
        trainer = MetaLearningEnsembleTrainer(config, "selfcheck", Path(folder) / "models")
        trainer.train_full_session(2, save_interval=1)
        evaluator = MetaLearningEvaluator(Path(folder) / "models" / "final_session", config)
        results = evaluator.evaluate_comprehensive(2, 200)
        _must(results["portfolio_metrics"]["episodes"] == 2, "an episode was not evaluated")
        _must((evaluator.results / "report.html").is_file(), "the evaluation left no report")
        action, info = evaluator.meta_ensemble.get_trading_action(np.zeros(50), 100.0, 1000.0)
        _must(action in (0, 1, 2) and info["warming_up"], "the first action is none")
        same = trainer.meta_learning_manager.load_meta_models(Path(folder) / "models" / "episode_1")
        _must(same["model"] == "learner", "an earlier checkpoint was not taken")


UNITS = (
    features_are_finite,
    regimes_are_probabilities,
    agents_stay_in_range,
    weights_keep_their_limits,
    settings_are_refused_where_they_do_not_fit,
    files_hold_what_was_set,
)
INTEGRATION = (the_pipeline_gives_the_same_bytes, a_session_trains_saves_and_is_evaluated)


def _run(checks: Sequence[Callable[[], None]]) -> bool:
    """Run the checks, write the result of each to stderr, and return whether all have passed."""
    failed = 0
    for check in checks:
        name = check.__name__.replace("_", " ")
        try:
            check()
        except (CheckError, ValueError, OSError, ArithmeticError, LookupError, TypeError) as error:
            failed += 1
            say(f"FAILED  {name}: {error}")
        else:
            say(f"passed  {name}")
    say(f"{len(checks) - failed} of {len(checks)} checks passed")
    return failed == 0


def run_comprehensive_tests() -> bool:
    """Check features, regimes, agents, weights and settings, and return whether all checks have passed.

    Takes seconds once kernels are compiled. The result of each check is written to stderr.
    """
    return _run(UNITS)


def run_integration_tests() -> bool:
    """Check the pipeline and a training session from end to end, and return whether all checks have passed.

    Takes seconds once kernels are compiled, and writes to temporary folders only. The result of each check is written
    to stderr.
    """
    return _run(INTEGRATION)
