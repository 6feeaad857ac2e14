"""Options that would have no effect are refused, instead of being passed over."""

from collections.abc import Collection

import typer


def refuse_idle(context: typer.Context, idle: Collection[str], why: str) -> None:
    """Raises ConfigError where a parameter of these names is on the command line; `why` ends its sentence."""
    from windvane.metamodel.base.config import check

    named = [
        max(p.opts, key=len)
        for p in context.command.params
        if p.name in idle and getattr(context.get_parameter_source(str(p.name)), "name", "") == "COMMANDLINE"
    ]
    check(not named, f"{' and '.join(named)} would have no effect {why}: leave it out")
