"""windvane train: policies that learn by trying, and the constants and weights that ship with the package again."""

from pathlib import Path
from typing import Annotated

import typer

from windvane.infra.cli.train_policies import command

app = typer.Typer(
    help="Train policies; make what ships with the package again, from seeds.", no_args_is_help=True
)


@app.callback()
def train() -> None:
    """Train policies; make what ships with the package again, from seeds."""


for algorithm in ("dqn", "ppo", "rainbow"):
    app.command(algorithm)(command(algorithm))


@app.command()
def scaler(
    out: Annotated[Path | None, typer.Option(help="Module to write. Default: the package's own.")] = None,
) -> None:
    """Fit the feature scaler on randomised SIMULATED markets."""
    from windvane.infra.runs.progress import bar, say
    from windvane.infra.training.simulated import fit_scaler, scaler_source
    from windvane.metamodel.features import scaler as home
    from windvane.metamodel.simulation.seeds import SCALER

    path = out or Path(home.__file__).with_name("scaler_constants.py")
    with bar("scaler", len(SCALER)) as progress:
        path.write_text(scaler_source(fit_scaler(progress)), encoding="utf-8")
    say(f"wrote {path}")


@app.command()
def regime(
    out: Annotated[Path | None, typer.Option(help="File to write. Default: the package's own.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Fewer than the recipe's, to try it out.")] = None,
) -> None:
    """Train the regime classifier on randomised SIMULATED markets; needs torch, takes some minutes."""
    import dataclasses

    from windvane.infra.runs.progress import bar, say
    from windvane.infra.training.regime import Recipe, train_regime
    from windvane.metamodel.base.config import check
    from windvane.metamodel.regimes import model as home
    from windvane.metamodel.regimes.model import load_model

    check(epochs is None or epochs >= 1, f"--epochs is {epochs}: give 1 or more")
    check(
        epochs is None or out is not None, "--epochs makes weights that are not to be shipped: give --out too"
    )
    recipe = Recipe() if epochs is None else dataclasses.replace(Recipe(), epochs=epochs)
    path = out or Path(home.__file__).with_name(home.SHIPPED)
    with bar("regime", recipe.total) as progress:
        raw = train_regime(recipe, progress)
    path.write_bytes(raw)
    say(f"wrote {load_model(raw).version} to {path}")


@app.command()
def members(
    out: Annotated[Path | None, typer.Option(help="File to write. Default: the package's own.")] = None,
) -> None:
    """Fit what members know before they see a row, on randomised SIMULATED markets; takes some minutes."""
    from windvane.infra.runs.progress import bar, say
    from windvane.infra.training.members import train_members
    from windvane.metamodel.learning.members import prior as home
    from windvane.metamodel.simulation.seeds import TRAINING

    path = out or Path(home.__file__).with_name(home.SHIPPED)
    with bar("members", len(TRAINING)) as progress:
        raw = train_members(progress=progress)
    path.write_bytes(raw)
    say(f"wrote {home.load_prior(raw).version} to {path}")


@app.command()
def confidence(
    out: Annotated[Path | None, typer.Option(help="Module to write. Default: the package's own.")] = None,
) -> None:
    """Calibrate the confidence of the rules on SIMULATED markets; needs scikit-learn, takes some minutes."""
    from windvane.agents.rules import calibrations as home
    from windvane.infra.runs.progress import bar, say
    from windvane.infra.training.calibration import calibration_source
    from windvane.infra.training.confidence import fit_confidence
    from windvane.metamodel.simulation.seeds import TRAINING, VALIDATION

    path = out or Path(home.__file__)
    with bar("confidence", len(TRAINING) + len(VALIDATION)) as progress:
        path.write_text(calibration_source(fit_confidence(progress=progress)), encoding="utf-8")
    say(f"wrote {path}")
