"""Which learner of a session is the best, from evaluation to evaluation, while its settings may change."""

from collections.abc import Callable, Sequence
from typing import Any

from windvane.infra.training_sessions import judging
from windvane.infra.training_sessions.checkpoints import Learned, learned
from windvane.infra.training_sessions.episodes import Session
from windvane.infra.training_sessions.judging import Choice, Markets, gains
from windvane.metamodel.simulation.seeds import CHOOSING, GAINS


class Choosing:
    """Evaluates the learner of a session on markets of its own; it is opened first, and again before more episodes.

    session: whose learner it is, and whose present settings and environment count.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._choice: Choice | None = None
        self._judged_with: tuple[Any, ...] = ()  # settings, environment and markets of the choice
        self.known: tuple[Learned, Learned] | None = (
            None  # what the session began with, and the best of it so far
        )

    @property
    def choice(self) -> Choice:
        """The choice so far; raises ValueError before `open`."""
        if self._choice is None:
            raise ValueError("nothing was judged yet: call open first")
        return self._choice

    @property
    def best_performance(self) -> float:
        """Mean Sharpe ratio of the best learner."""
        return float(self.choice.best.sharpe.mean())

    def evaluate(self, max_steps: int | None) -> float:
        """Return the mean Sharpe ratio of the learner as it is now; `markets` says what max_steps is."""
        return float(self.markets(CHOOSING, max_steps).sharpe_ratios(self._now()).mean())

    def markets(self, seeds: Sequence[int], max_steps: int | None) -> Markets:
        """Return as many markets of these seeds as the config says.

        max_steps: ticks of each, None for the environment's own number, and never fewer than `judging.STEPS`. Raises
        ConfigError where the session refuses a changed setting.
        """
        session = self._session
        _ = session.meta_ensemble
        steps = max(session.env.max_steps if max_steps is None else max_steps, judging.STEPS)
        return Markets(session.config, session.env, seeds[: session.config.evaluation_markets], steps)

    def open(self, max_steps: int | None, played: Callable[[], None]) -> bool:
        """Judge what the session begins with, and return whether it begins now.

        Of a session that goes on, start and best are judged anew where settings, environment or markets have changed.
        """
        markets, begins = self.markets(CHOOSING, max_steps), self.known is None
        session = self._session
        now = (session.meta_ensemble.config, session.environment, len(markets.seeds), markets.steps)
        if self._choice is None or now != self._judged_with:
            start, best = self.known or (self._now(), self._now())
            self._choice, self._judged_with = Choice(markets, start, best, played), now
            self.known = start, best
        return begins

    def judge(self, played: Callable[[], None]) -> dict[str, Any]:
        """Judge the learner as it is now, and return its figures; `kept` says whether it is the best from now on."""
        figures = self.choice.judge(self._now(), played)
        self.known = self.choice.start.known, self.choice.best.known
        return figures

    def gains(self, played: Callable[[], None]) -> list[dict[str, float]]:
        """Return what the present learner and the best one are worth, on markets that are used for nothing else."""
        markets = self.markets(GAINS, self.choice.markets.steps)
        return gains(markets, self.choice.start.known, (self._now(), self.choice.best.known), played)

    def resume(self, known: tuple[Learned, Learned] | None) -> None:
        """Go on with the start and the best of a session; None: it had not begun."""
        self.known, self._choice = known, None

    def _now(self) -> Learned:
        return learned(self._session.meta_ensemble.manager, self._session.agents.policies)
