"""windvane train dqn|ppo|rainbow: trains a policy on simulated markets or a file, and writes it as data."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from windvane.infra.cli import options
from windvane.infra.cli.idle import refuse_idle
from windvane.infra.cli.reading import MaxRejected

if TYPE_CHECKING:
    from windvane.infra.policies.market import Parts
    from windvane.infra.policies.training import PolicyTraining

_SIMULATED, _FILE = {"market", "markets", "ticks"}, {"bars", "max_rejected"}

Simulated = Annotated[bool, typer.Option("--simulated", help="Train on SIMULATED markets.")]
Data = Annotated[Path | None, typer.Option(help="Market data to train on, cut in time: 60, 20 and 20 %.")]
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
        from windvane.infra.policies.training import PolicyTraining
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
        parts: Parts = (
            simulated_parts(market, markets, ticks) if data is None else file_parts(data, bars, reading)
        )
        return _trained(PolicyTraining(recipe(parts.fee_bp), parts), out)

    train.__doc__ = f"""Train a policy with {algorithm.upper() if algorithm != "rainbow" else "Rainbow"}; needs torch.

    Ctrl-C leaves a checkpoint, from which the same command goes on to the same result.
    """
    return train


def _trained(training: "PolicyTraining", out: Path) -> int:
    """Train to the end, or until somebody stops it; returns the exit code."""
    from windvane.agents.learned.networks import one_thread
    from windvane.infra.policies import checkpoint
    from windvane.infra.policies.events import EventFile
    from windvane.infra.policies.folder import write_policy
    from windvane.infra.runs.progress import bar, interruptible, say

    recipe, folder = training.recipe, out / "checkpoint"
    before = checkpoint.read(folder)
    if before is not None:
        training.restore(before.story, before.state)
        say(f"goes on from step {training.steps:,}")
    say(f"{recipe.algorithm} on {training.parts.about}")
    with interruptible() as asked, one_thread(), EventFile(out / "events") as events:
        while not training.over:
            with bar(recipe.algorithm, recipe.steps) as progress:
                clock = _Clock(training.steps)
                training.go(asked, progress)
            checkpoint.write(folder, training.story(), training.state())
            if asked():
                say(f"stopped at step {training.steps:,}: the same command goes on from there")
                return 130
            look = training.history[-1]
            rate = clock.rate(training.steps)
            events.write(look["step"], _scalars(look, rate))
            say(_line(look, training.best_score, rate, recipe.steps - training.steps))
    form = training.form()
    write_policy(out, training.best, form)
    say(_table(form["trained"]["metrics"], training.parts.simulated))
    say(f"wrote policy.json and weights.safetensors to {out}")
    return 0


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
