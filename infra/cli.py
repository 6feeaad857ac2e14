"""The command line: errors in one sentence, and exit codes a script can rely on.

0 done; 1 a replay that differs, or something missing; 2 bad options or input; 130 stopped by Ctrl-C.
"""

import signal
import sys
from types import FrameType

import typer

from windvane.infra.commands import backtest, doctor, replay, simulate, train

app = typer.Typer(
    name="windvane",
    help="Decides, tick by tick, which trading agent to believe.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(name="backtest")(backtest.backtest)
app.command(name="replay")(replay.replay)
app.command(name="simulate")(simulate.simulate)
app.command(name="doctor")(doctor.doctor)
app.add_typer(train.app, name="train")


def main() -> None:
    """Run the command line; a problem of the user's is one sentence on stderr, never a traceback."""
    signal.signal(signal.SIGINT, _stop)
    try:
        app()
    except (ValueError, OSError) as error:
        if not _expected(error):
            raise
        sys.stderr.write(f"windvane: {_sentence(error)}\n")
        raise SystemExit(2) from error


def _stop(number: int, frame: FrameType | None) -> None:
    """Ctrl-C where nothing is being written yet."""
    sys.stderr.write("windvane: stopped\n")
    raise SystemExit(130)


def _expected(error: Exception) -> bool:
    from windvane.infra.feeds.errors import InputError
    from windvane.infra.journal import JournalError
    from windvane.infra.session import SessionError
    from windvane.metamodel.config import ConfigError
    from windvane.metamodel.limits import LimitError

    return isinstance(error, InputError | JournalError | SessionError | ConfigError | LimitError | OSError)


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {(error.strerror or 'cannot be used').lower()}"
    return str(error)
