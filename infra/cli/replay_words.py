"""`windvane replay` without the name of a sub-command: the spelling of releases up to 0.2.0, which stays valid.

`windvane replay runs/bars`, `replay bars.csv`, `replay --from-topic ticks` and `replay --as-recorded` become
`replay journal`, `file`, `topic` and `audit`, before anything else is parsed.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from typer.core import TyperCommand, TyperGroup


class ReplayGroup(TyperGroup):
    """The command `windvane replay`: it puts the sub-command that is meant in front of words that name none."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Called once by the command line, with all words after `replay`."""
        if args[:1] in (["-h"], ["--help"]) or self._names_a_way(ctx, args):
            return super().parse_args(ctx, args)
        if "-h" in args or "--help" in args:
            return super().parse_args(ctx, ["--help"])
        return super().parse_args(ctx, [self._way(ctx, args), *args])

    def _names_a_way(self, ctx: Any, words: list[str]) -> bool:
        """Whether the first word is a sub-command, and no path: in a run's folder, `windvane replay journal` is one."""
        if not words or words[0] not in self.commands:
            return False
        if "-h" in words or "--help" in words or not Path(words[0]).exists():
            return True
        parameters = self._parameters(words[0])
        return "source" not in parameters or "source" in _values(ctx, parameters, words[1:])

    def _way(self, ctx: Any, words: list[str]) -> str:
        """The sub-command that these words mean; raises ConfigError for none, or for options that it does not take."""
        from windvane.metamodel.base.config import check

        every = {name: p for way in self.commands for name, p in self._parameters(way).items()}
        values = _values(ctx, every, words)
        way, replayed = _meant(values)
        known = self._parameters(way)
        idle = " and ".join(max(every[name].opts, key=len) for name in values if name not in known)
        check(not idle, f"{idle} would have no effect where this replays {replayed}: leave it out")
        return way

    def _parameters(self, way: str) -> dict[str, Any]:
        return {str(p.name): p for p in self.commands[way].params}


def _values(ctx: Any, parameters: Mapping[str, Any], words: list[str]) -> dict[str, Any]:
    """The values that words give to parameters, in the order of `parameters`; raises typer's errors of usage."""
    command = TyperCommand("replay", params=[*parameters.values()])
    context = type(ctx)(command, parent=ctx.parent, info_name=ctx.info_name)
    parsed, _, _ = command.make_parser(context).parse_args([*words])
    return {name: parsed[name] for name in parameters if isinstance(parsed.get(name), str | bool)}


def _meant(values: Mapping[str, Any]) -> tuple[str, str]:
    """The sub-command that is meant, and what it replays, in words; it does not depend on the broker configured."""
    from windvane.infra.runs import journal as journals
    from windvane.metamodel.base.config import ConfigError, check

    source, as_recorded = values.get("source"), "as_recorded" in values
    if "from_topic" in values:
        check(source is None, "give a file or --from-topic, not both")
        check(not as_recorded, "--as-recorded audits --book, or a run that is named: leave out --from-topic")
        return "topic", "a book of the topic, with the settings that it had"
    if source is None:
        if as_recorded:
            return "audit", "a book on the topics, as recorded"
        raise ConfigError("nothing to replay: name a run's folder, a market file, or --from-topic ticks")
    path = Path(source)
    check(path.exists(), f"{source} does not exist: check the path")
    if path.is_dir() or path.name == journals.FILE:
        if "bootstrap" not in values and "prefix" not in values:
            return "journal", "a run, embedded"
        check(not as_recorded, "--as-recorded audits --book on the topics: name no file")
        return "journal", "a run through Kafka, with the settings that it had"
    check(
        not as_recorded, f"--as-recorded follows what a run recorded, and {source} is none: name its folder"
    )
    return "file", "a market file through Kafka"
