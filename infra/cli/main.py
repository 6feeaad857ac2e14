"""The command line: errors in one sentence, and exit codes a script can rely on.

0 done; 1 a replay that differs, or something missing; 2 bad options or input; 130 stopped by Ctrl-C.
"""

import io
import signal
import sys
from types import FrameType

import typer

from windvane.infra.cli import (
    backtest,
    control,
    doctor,
    evaluate,
    inspect,
    journal,
    orders,
    replay,
    schemas,
    simulate,
    status,
    topics,
    train,
    up,
    worker,
)
from windvane.infra.telemetry.logs import check_environment

app = typer.Typer(
    name="windvane",
    help="Decides, tick by tick, which trading agent to believe.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_USAGE: type[Exception] = typer.BadParameter.__mro__[1]
"""What all errors of usage derive from, wherever typer keeps its copy of click."""

app.command(name="backtest")(backtest.backtest)
app.command(name="inspect")(inspect.inspect)
app.command(name="replay")(replay.replay)
app.command(name="simulate")(simulate.simulate)
app.command(name="journal")(journal.journal)
app.command(name="evaluate")(evaluate.evaluate)
app.command(name="doctor")(doctor.doctor)
app.command(name="orders")(orders.orders)
app.command(name="schemas")(schemas.schemas)
app.command(name="up")(up.up)
app.command(name="worker")(worker.worker)
app.command(name="control")(control.control)
app.command(name="status")(status.status)
app.add_typer(topics.app, name="topics")
app.add_typer(train.app, name="train")


def main() -> None:
    """Run the command line; a problem of the user's is one sentence on stderr, never a traceback."""
    signal.signal(signal.SIGINT, _stop)
    _replace_what_cannot_be_written()
    try:
        check_environment()
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
    except (ValueError, OSError) as error:
        if not _expected(error):
            raise
        sys.stderr.write(f"windvane: {_sentence(error)}\n")
        raise SystemExit(2) from error
    raise SystemExit(code if isinstance(code, int) else 0)


def _replace_what_cannot_be_written() -> None:
    """A letter that the terminal does not know becomes a question mark, so that no finished run ends in a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _joined(words: list[str]) -> list[str]:
    """`--on-halt resume-after 40` as one value: the number belongs to the word before it."""
    out: list[str] = []
    for word in words:
        if out[-2:] == ["--on-halt", "resume-after"]:
            out[-1] = f"resume-after {word}"
        else:
            out.append(word)
    return out


def _usage(error: Exception) -> str:
    """One sentence for options that cannot be read; the help where there were none."""
    context = getattr(error, "ctx", None)
    if context is None:
        return str(error)
    if type(error).__name__ == "NoArgsIsHelpError":
        return f"no command given\n{context.get_help()}"
    sentence = str(getattr(error, "format_message")()).replace("\n", " ").strip().rstrip(".")  # noqa: B009
    return f"{sentence}: `{context.command_path} --help` shows what can be given"


def _stop(number: int, frame: FrameType | None) -> None:
    """Ctrl-C where nothing is being written yet."""
    sys.stderr.write("windvane: stopped\n")
    raise SystemExit(130)


def _expected(error: Exception) -> bool:
    from windvane.infra.files.errors import InputError
    from windvane.infra.kafka.broker.settings import SettingsError
    from windvane.infra.runs.backtest import SessionError
    from windvane.infra.runs.journal import JournalError
    from windvane.infra.training.regime import TrainingError
    from windvane.metamodel.base.config import ConfigError
    from windvane.metamodel.base.limits import LimitError
    from windvane.metamodel.base.weights import WeightsError
    from windvane.streams.stage import StateError

    ours = InputError | JournalError | SessionError | SettingsError | ConfigError | LimitError | StateError
    return isinstance(error, ours | WeightsError | TrainingError | OSError)


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {(error.strerror or 'cannot be used').lower()}"
    return str(error)
