"""The entry of the command line: every error is one sentence, and scripts can rely on the exit codes.

0 done; 1 a replay that differs, or something missing; 2 bad options or input; 130 stopped by Ctrl-C.
"""

import io
import os
import signal
import sys
from types import FrameType

import typer

from windvane.agents.errors import WindvaneError
from windvane.infra.cli import (
    agents,
    backtest,
    books,
    cockpit,
    control,
    doctor,
    evaluate,
    exchange,
    feed,
    inspect,
    journal,
    live,
    orders,
    replay,
    schemas,
    simulate,
    status,
    topics,
    train,
    up,
    verify,
    worker,
)
from windvane.infra.telemetry.logs import VARIABLES

app = typer.Typer(
    name="windvane",
    help="Decides, tick by tick, which trading agent to believe.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_USAGE: type[Exception] = typer.BadParameter.__mro__[1]
"""The class that all errors of usage derive from, wherever typer keeps its copy of click."""

app.command(name="backtest")(backtest.backtest)
app.command(name="inspect")(inspect.inspect)
app.command(name="simulate")(simulate.simulate)
app.command(name="journal")(journal.journal)
app.command(name="live")(live.live)
app.command(name="evaluate")(evaluate.evaluate)
app.command(name="exchange")(exchange.exchange)
app.command(name="feed")(feed.feed)
app.command(name="doctor")(doctor.doctor)
app.command(name="orders")(orders.orders)
app.command(name="schemas")(schemas.schemas)
app.command(name="up")(up.up)
app.command(name="verify")(verify.verify)
app.command(name="worker")(worker.worker)
app.command(name="control")(control.control)
app.command(name="cockpit")(cockpit.cockpit)
app.command(name="status")(status.status)
app.add_typer(agents.app, name="agents")
app.add_typer(books.app, name="books")
app.add_typer(replay.app, name="replay")
app.add_typer(topics.app, name="topics")
app.add_typer(train.app, name="train")


def main() -> None:
    """Run the command line and exit; what a user can mend is one sentence on stderr, never a traceback."""
    signal.signal(signal.SIGINT, _stop)
    _replace_what_cannot_be_written()
    try:
        _check_environment()
        code = app(_joined(sys.argv[1:]), standalone_mode=False)
    except typer.Abort as stop:
        raise SystemExit(130) from stop
    except _USAGE as error:
        sys.stderr.write(f"windvane: {_usage(error)}\n")
        raise SystemExit(2) from error
    except ModuleNotFoundError as error:
        missing = doctor.sentence_of(error.name)
        if missing is None:
            raise
        sys.stderr.write(f"windvane: {missing}\n")
        raise SystemExit(2) from error
    except (WindvaneError, OSError) as error:
        sys.stderr.write(f"windvane: {_sentence(error)}\n")
        raise SystemExit(2) from error
    raise SystemExit(code if isinstance(code, int) else 0)


def _check_environment() -> None:
    """Raises WindvaneError where a variable of logs is set to what is not known, before any command does anything."""
    for name, known in VARIABLES.items():
        value = os.environ.get(name, "")
        if value and value.lower() not in known:
            raise WindvaneError(f"variable {name} is {value!r}: give one of {', '.join(known)}")


def _replace_what_cannot_be_written() -> None:
    """Let letters that a terminal does not know become question marks, so that no finished run ends in a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _joined(words: list[str]) -> list[str]:
    """The words with `--on-halt resume-after 40` joined to one value: the number belongs to the word before it."""
    out: list[str] = []
    for word in words:
        if out[-2:] == ["--on-halt", "resume-after"]:
            out[-1] = f"resume-after {word}"
        else:
            out.append(word)
    return out


def _usage(error: Exception) -> str:
    """One sentence for options that cannot be read; the help where no command is given."""
    context = getattr(error, "ctx", None)
    if context is None:
        return str(error)
    if type(error).__name__ == "NoArgsIsHelpError":
        return f"no command given\n{context.get_help()}"
    sentence = str(getattr(error, "format_message")()).replace("\n", " ").strip().rstrip(".")  # noqa: B009
    return f"{sentence}: `{context.command_path} --help` shows what can be given"


def _stop(number: int, frame: FrameType | None) -> None:
    """Called on Ctrl-C unless a command handles it, which those do that have begun to write."""
    sys.stderr.write("windvane: stopped\n")
    raise SystemExit(130)


def _sentence(error: Exception) -> str:
    """The sentence of an error; of one of the system, the file and the reason."""
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {(error.strerror or 'cannot be used').lower()}"
    return str(error)
