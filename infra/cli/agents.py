"""windvane agents: who is there, who keeps what agents promise, and what to begin one from: a package, or a network."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from windvane.infra.cli import options
from windvane.infra.cli.idle import refuse_idle

if TYPE_CHECKING:
    from windvane.agents.base import Agent

_MOST_FINDINGS = 40

app = typer.Typer(no_args_is_help=True, help="List agents, check one of your own, begin one, or convert one.")


@app.command("list")
def list_agents() -> None:
    """List the agents that are built in and those that packages bring: version, warm-up in rows, and a sentence.

    Example:\n
      windvane agents list
    """
    from windvane.agents.errors import WindvaneError
    from windvane.agents.factory import AGENTS, create_agents
    from windvane.agents.installed import installed

    lines = [("agent", "from", "version", "warm-up", "")]
    for name, kind in AGENTS.items():
        lines.append((name, "windvane", kind.version, str(kind.warmup), _sentence(kind)))
    for name, point in installed().items():
        origin = point.dist.name if point.dist is not None else point.value
        try:
            (agent,) = create_agents([name]) if name not in AGENTS else [None]
        except WindvaneError as error:
            lines.append((name, origin, "-", "-", str(error)))
            continue
        if agent is None:
            lines.append((name, origin, "-", "-", "never meant: windvane has an agent of this name"))
        else:
            lines.append((name, origin, agent.version, str(agent.warmup), _sentence(type(_inner(agent)))))
    widths = [max(len(line[k]) for line in lines) for k in range(4)]
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=False)]
        sys.stdout.write(f"{'  '.join([*cells, line[4]]).rstrip()}\n")


@app.command()
def check(
    agent: Annotated[
        str, typer.Argument(help="One agent, as --agents takes it: NAME, NAME=module:Class, NAME=remote ...")
    ],
    book: Annotated[
        str | None, typer.Option(help="Of a remote agent: name of the book to play. Default: check-NAME.")
    ] = None,
    wait: Annotated[float, typer.Option(help="Of a remote agent: seconds to wait for its answers.")] = 60.0,
    bootstrap: options.Bootstrap = None,
    prefix: options.Prefix = None,
) -> None:
    """Try every law of agents on one, on a simulated market; exit code 1 where it breaks one.

    A remote agent is played a book on the topics of a prefix that no worker has, and each of its rows is judged.

    Examples:\n
      windvane agents check mine=pkg.mod:Class\n
      windvane agents check js=remote --bootstrap 127.0.0.1:9092 --prefix trial --book trial
    """
    from windvane.agents.factory import create_agents
    from windvane.agents.naming import REMOTE, named

    if named(agent).origin == REMOTE:
        name = named(agent).id
        raise typer.Exit(_check_remote(name, book or f"check-{name}", wait, bootstrap, prefix))
    from windvane.infra.dev.agent_laws import microseconds, verdicts

    options.find_modules_here()

    def make() -> "Agent":
        return create_agents([agent])[0]

    make()
    broken = 0
    for verdict in verdicts(make):
        broken += bool(verdict.broken)
        told = f"broken  {verdict.law}: {verdict.broken}" if verdict.broken else f"kept    {verdict.law}"
        sys.stdout.write(f"{told}\n")
    if not broken:
        whole, single = microseconds(make)
        sys.stdout.write(f"{whole:.2f} µs a row in one call, {single:.2f} µs in calls of one row each\n")
    raise typer.Exit(1 if broken else 0)


@app.command()
def init(
    name: Annotated[str, typer.Argument(help="Name of the agent, its module and the folder.")],
    folder: Annotated[Path, typer.Option("--in", help="Folder to write NAME into.")] = Path(),
) -> None:
    """Write a small package with an agent, its entry point and its test, which passes, to start from.

    Example:\n
      windvane agents init my_trend
    """
    from windvane.infra.dev.agent_package import write_package
    from windvane.infra.runs.progress import say

    for file in write_package(name, folder):
        say(f"wrote {file}")
    say(f"next: pip install -e {folder / name}, and windvane agents check {name}")


@app.command()
def convert(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(help="A zip of Stable-Baselines3, DQN or PPO with MlpPolicy; or an .onnx file.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for policy.json and weights.safetensors.")],
    algorithm: Annotated[
        str | None, typer.Option(help="Of an ONNX file: dqn, ppo or rainbow, which it was trained with.")
    ] = None,
    activation: Annotated[
        str | None, typer.Option(help="Of a zip that does not say it: relu or tanh, of the hidden layers.")
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            help="Inputs in order, as a,b,c, and position last where it sees its own. Default: all features in their "
            "order, of a network of 50 inputs, or 51 with its position."
        ),
    ] = None,
    scaled: Annotated[
        bool, typer.Option("--scaled", help="It reads what FeatureScaler makes of features.")
    ] = False,
    raw: Annotated[bool, typer.Option("--raw", help="It reads features as they are.")] = False,
    actions: Annotated[
        str | None,
        typer.Option(help="trade: an action moves the position by one step; target: it is the position."),
    ] = None,
    mapping: Annotated[
        str, typer.Option(help="What outputs 0, 1 and 2 mean: -1 sell, 0 hold, 1 buy.")
    ] = "-1,0,1",
    max_position: Annotated[
        float | None, typer.Option(help="Target of position 1, units of capital, up to 1.")
    ] = None,
) -> None:
    """Make a policy of a network that others trained; it is served without their libraries. Needs windvane[train].

    What the file does not say, options have to; nothing is guessed, and nothing in the file is run.

    Examples:\n
      windvane agents convert ppo.zip --activation tanh --scaled --actions target --max-position 1 --out policies/ppo\n
      windvane agents convert q.onnx --algorithm dqn --raw --actions trade --max-position 0.5 --out policies/q
    """
    from windvane.infra.policies import conversion
    from windvane.infra.policies.onnx_file import read_onnx
    from windvane.infra.policies.sb3_zip import read_sb3
    from windvane.infra.runs.progress import say

    meaning = conversion.meaning_of(features, scaled, raw, actions, mapping, max_position)
    if file.suffix.lower() == ".onnx":
        refuse_idle(context, {"activation"}, "on an ONNX file, which says it")
        network = conversion.named_network(read_onnx(file), algorithm)
    else:
        refuse_idle(context, {"algorithm"}, "on a zip, which says it")
        network = read_sb3(file, conversion.known_activation(activation))
    form = conversion.convert(network, meaning, file, out)
    say(f"{network.about}: {' x '.join(map(str, form.sizes))} units, {form.activation}")
    say(f"wrote policy.json and weights.safetensors to {out}: windvane agents check NAME={out}")


def _check_remote(name: str, book: str, wait: float, bootstrap: str | None, prefix: str | None) -> int:
    """Play a book against a remote agent and say what is wrong, row by row; returns the exit code."""
    import asyncio

    from windvane.infra.kafka.broker.settings import KafkaSettings, reachable
    from windvane.infra.kafka.tools.agent_check import check_remote
    from windvane.infra.runs.progress import say
    from windvane.metamodel.base.config import check as required

    options.check_book(book)
    required(0 < wait <= 3600, f"--wait is {wait:g}: give seconds above 0, up to 3600")
    settings = KafkaSettings.load(bootstrap, prefix)
    asyncio.run(reachable(settings))
    say(f"book {book} is on {settings.topic('features')}: agent {name} has {wait:g} s to answer it")
    report = asyncio.run(check_remote(settings, name, book=book, wait=wait))
    for row, why in report.findings[:_MOST_FINDINGS]:
        sys.stdout.write(f"row {row}: {why}\n" if row >= 0 else f"{why}\n")
    more = len(report.findings) - _MOST_FINDINGS
    if more > 0:
        sys.stdout.write(f"and {more:,} more\n")
    sys.stdout.write(f"{report.answered:,} of {report.rows:,} rows are answered, in {report.seconds:.1f} s\n")
    return int(report.answered < report.rows or bool(report.findings))


def _inner(agent: "Agent") -> object:
    """The agent that a package brings, without what stands around it."""
    return getattr(agent, "agent", agent)


def _sentence(kind: type) -> str:
    """The first line of a class's docstring."""
    return ((kind.__doc__ or "").strip() or "no docstring").splitlines()[0]
