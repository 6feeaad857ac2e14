"""Options that were given and would have no effect are refused, instead of being passed over."""

from collections.abc import Collection

import typer


def refuse_idle(context: typer.Context, idle: Collection[str], why: str) -> None:
    """Raises ConfigError where parameters of these names were given on the command line; why: ends the sentence."""
    from windvane.metamodel.base.config import check

    named = [
        max(p.opts, key=len)
        for p in context.command.params
        if p.name in idle and getattr(context.get_parameter_source(str(p.name)), "name", "") == "COMMANDLINE"
    ]
    check(not named, f"{' and '.join(named)} would have no effect {why}: leave it out")
