"""windvane train dqn|ppo|rainbow: trains a policy on simulated markets or a file, and writes it as data."""

from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from windvane.infra.cli import options
from windvane.infra.cli.idle import refuse_idle
from windvane.infra.cli.reading import MaxRejected

if TYPE_CHECKING:
    from windvane.infra.policies.market import Parts
    from windvane.infra.policies.recipe import Recipe
    from windvane.infra.policies.training import PolicyTraining

_SIMULATED, _FILE = {"market", "markets", "ticks"}, {"bars", "folds", "max_rejected"}

Simulated = Annotated[bool, typer.Option("--simulated", help="Train on SIMULATED markets.")]
Data = Annotated[Path | None, typer.Option(help="Market data to train on, cut in time: 60, 20 and 20 %.")]
Folds = Annotated[
    int,
    typer.Option(help="Windows in time, each longer than the one before; the last one's weights are kept."),
]
Market = Annotated[str, typer.Option(help="Simulated market: standard, mild, hard, swapped or null.")]
Markets = Annotated[int, typer.Option(help="Simulated markets to learn on, one a seed.")]
Ticks = Annotated[int, typer.Option(help="Ticks of a simulated market.")]
Steps = Annotated[int, typer.Option(help="Steps of all environments together.")]
Out = Annotated[
    Path, typer.Option(help="Folder for policy.json, weights.safetensors, checkpoint and events.")
]
FeeBp = Annotated[
    float | None, typer.Option(help="Fee, basis points. Default: the market's own, 1 of a file.")
]
Delay = Annotated[int, typer.Option(help="Rows from decision to fill.")]
Reward = Annotated[str, typer.Option(help="profit, sharpe (differential) or drawdown (penalised).")]
Environments = Annotated[int, typer.Option(help="Environments that step at once.")]
Episode = Annotated[int, typer.Option(help="Rows of an episode.")]
Every = Annotated[int, typer.Option(help="Steps between two looks at the validation part, and checkpoints.")]
Patience = Annotated[int, typer.Option(help="Looks without a better one after which it stops; 0: never.")]
Configuration = Annotated[
    str | None, typer.Option(help="Of dqn: DQN, DoubleDQN, D3QN or TwinD3QN. Default: D3QN.")
]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="A hyperparameter, as rate=1e-3 or hidden=64,64.")
]


def command(algorithm: str) -> Callable[..., int]:
    """Return the command that trains with an algorithm."""

    def train(
        context: typer.Context,
        out: Out,
        simulated: Simulated = False,
        data: Data = None,
        bars: options.Bars = None,
        folds: Folds = 1,
        max_rejected: MaxRejected = None,
        market: Market = "standard",
        markets: Markets = 32,
        ticks: Ticks = 4_000,
        steps: Steps = 400_000,
        seed: options.Seed = 0,
        fee_bp: FeeBp = None,
        slippage_bp: options.SlippageBp = 0.0,
        half_spread_bp: options.HalfSpreadBp = 0.0,
        delay: Delay = 1,
        reward: Reward = "profit",
        environments: Environments = 16,
        episode: Episode = 512,
        every: Every = 20_000,
        patience: Patience = 10,
        configuration: Configuration = None,
        change: Set = None,
    ) -> int:
        from windvane.infra.files.reading import reading_of
        from windvane.infra.policies.market import file_parts, simulated_parts
        from windvane.infra.policies.recipe import Recipe, settings_of
        from windvane.metamodel.base.config import Costs, check
        from windvane.metamodel.simulation.market import MARKETS
        from windvane.metamodel.simulation.simulator_rules import SimulatorRules

        check(simulated != (data is not None), "give one of --simulated and --data FILE")
        if data is None:
            refuse_idle(context, _FILE, "on simulated markets")
            check(market in MARKETS, f"--market is {market!r}: give one of {', '.join(MARKETS)}")
        else:
            refuse_idle(context, _SIMULATED, "on a file")
        settings = settings_of(algorithm, change or (), configuration)
        reading = reading_of(max_rejected=max_rejected)

        def recipe(fee: float) -> Recipe:
            costs = Costs(
                fee_bp=fee if fee_bp is None else fee_bp,
                slippage_bp=slippage_bp,
                half_spread_bp=half_spread_bp,
                delay=delay,
            )
            rules = SimulatorRules(costs=costs, actions="target", reward=reward, sees_position=True)
            return Recipe(
                algorithm=algorithm,
                settings=settings,
                rules=rules,
                steps=steps,
                seed=seed,
                environments=environments,
                episode=episode,
                every=every,
                patience=patience,
            )

        recipe(0.0)  # what cannot be is said before the market is read
        every_fold: Iterable[Parts] = (
            [simulated_parts(market, markets, ticks)]
            if data is None
            else file_parts(data, bars, folds, reading)
        )
        return _trained(recipe, every_fold, folds, out)

    train.__doc__ = f"""Train a policy with {algorithm.upper() if algorithm != "rainbow" else "Rainbow"}; needs torch.

    Ctrl-C leaves a checkpoint, from which the same command goes on to the same result.
    """
    return train


def _trained(
    recipe: Callable[[float], "Recipe"], every_fold: Iterable["Parts"], folds: int, out: Path
) -> int:
    """Train on every fold to the end, or until somebody stops it; returns the exit code.

    recipe: of a market's fee, basis points. The checkpoint is that of the fold that is trained on, with what those
    before it came to.
    """
    from windvane.infra.policies import checkpoint
    from windvane.infra.policies.folder import write_policy
    from windvane.infra.policies.judging import walked_forward
    from windvane.infra.policies.training import PolicyTraining
    from windvane.infra.runs.progress import say

    before = checkpoint.read(out / "checkpoint")
    past: list[dict[str, Any]] = [] if before is None else before.story.get("past", [])
    for parts in islice(every_fold, min(len(past), folds - 1), None):
        training = PolicyTraining(recipe(parts.fee_bp), parts)
        if before is not None:
            training.restore(before.story, before.state)
            say(f"goes on from step {training.steps:,}")
            before = None
        say(f"{training.recipe.algorithm} on {parts.about}")
        events = out / "events" / (f"fold-{len(past) + 1}" if folds > 1 else "")
        if not _finished(training, past, out / "checkpoint", events):
            say(f"stopped at step {training.steps:,}: the same command goes on from there")
            return 130
        form = training.form()
        metrics = form["trained"]["metrics"]
        say(_table(metrics, parts.simulated))
        past = [*past, {"data": parts.about, **metrics["test"]}]
    if folds > 1:
        metrics["walk_forward"] = walked_forward(past)
        mean = metrics["walk_forward"]["mean_profit"]
        of = ", ".join(f"{name.replace('_', ' ')} {profit:+.4f}" for name, profit in mean.items())
        say(f"mean profit of {folds} test parts: {of}")
    write_policy(out, training.best, form)
    say(f"wrote policy.json and weights.safetensors to {out}")
    return 0


def _finished(training: "PolicyTraining", past: list[dict[str, Any]], folder: Path, events: Path) -> bool:
    """Train on one fold, with a checkpoint after every look; returns whether nobody stopped it before its end."""
    from windvane.agents.learned.networks import one_thread
    from windvane.infra.policies import checkpoint
    from windvane.infra.policies.events import EventFile
    from windvane.infra.runs.progress import bar, interruptible, say

    recipe = training.recipe
    with interruptible() as asked, one_thread(), EventFile(events) as file:
        while not training.over:
            with bar(recipe.algorithm, recipe.steps) as progress:
                clock = _Clock(training.steps)
                training.go(asked, progress)
            story = training.story() | ({"past": past} if past else {})
            checkpoint.write(folder, story, training.state())
            if asked():
                return False
            look = training.history[-1]
            rate = clock.rate(training.steps)
            file.write(look["step"], _scalars(look, rate))
            say(_line(look, training.best_score, rate, recipe.steps - training.steps))
    return True


class _Clock:
    """Steps a second since it was made."""

    def __init__(self, steps: int) -> None:
        import time

        self._now, self._steps = time.monotonic, steps
        self._began = self._now()

    def rate(self, steps: int) -> float:
        return (steps - self._steps) / max(self._now() - self._began, 1e-9)


def _scalars(look: dict[str, float], rate: float) -> dict[str, float]:
    """What TensorBoard shows of a look."""
    shown = {
        "train/reward": look["reward"],
        "validation/profit": look["validation"],
        "steps_per_second": rate,
    }
    return shown if look["loss"] is None else shown | {"train/loss": look["loss"]}


def _line(look: dict[str, float], best: float, rate: float, left: int) -> str:
    loss = "no update yet" if look["loss"] is None else f"loss {look['loss']:.4g}"
    return (
        f"step {look['step']:,}: reward {look['reward']:+.2e} a step, {loss}, validation {look['validation']:+.2%} "
        f"(best {best:+.2%}, {look['trades']:,} trades), {rate:,.0f} steps/s, {max(left, 0) / rate:,.0f} s left"
    )


def _table(metrics: dict[str, dict[str, dict[str, float]]], simulated: bool) -> str:
    """The profits of policy and baselines on all parts, as text."""
    rows = [f"{'SIMULATED ' if simulated else ''}profit, units of capital, after costs"]
    rows += [f"{'':12}{'policy':>10}{'buy, hold':>12}{'best rule':>12}"]
    for part in ("train", "validation", "test"):
        of = metrics[part]
        rows.append(
            f"{part:12}{of['policy']['profit']:>+10.4f}{of['buy_and_hold']['profit']:>+12.4f}"
            f"{of['best_rule']['profit']:>+12.4f}"
        )
    return "\n".join([*rows, f"best rule on the train part: {metrics['baselines']['best_rule']}"])
