"""windvane train: makes the constants and weights that ship with the package again."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Make what ships with the package again, from seeds.", no_args_is_help=True)


@app.callback()
def train() -> None:
    """Make what ships with the package again, from seeds."""


@app.command()
def scaler(
    out: Annotated[Path | None, typer.Option(help="Module to write. Default: the package's own.")] = None,
) -> None:
    """Fit the feature scaler on randomised SIMULATED markets."""
    from windvane.infra.progress import bar, say
    from windvane.infra.simulated import SCALER_SEEDS, fit_scaler, scaler_source
    from windvane.metamodel import scaler as home

    path = out or Path(home.__file__).with_name("scaler_constants.py")
    with bar("scaler", len(SCALER_SEEDS)) as progress:
        path.write_text(scaler_source(fit_scaler(progress)), encoding="utf-8")
    say(f"wrote {path}")
