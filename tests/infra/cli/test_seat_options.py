"""`--seats` and `--keyed` of the commands that open a book: what they come to in its settings."""

from typing import Any

import pytest
import typer

from windvane.infra.cli import feed, live, options, replay
from windvane.infra.cli.live_book import LiveBook
from windvane.metamodel.base.config import ConfigError, Costs, TradingConfig

COMMANDS = {"feed": feed.feed, "live": live.live, "file": replay.file}


def chosen(**changes: Any) -> TradingConfig:
    given = options.BookOptions(
        book="b", costs=Costs(), agents="vol_trend,js=remote", retraining="off", **changes
    )
    return options.config_for(given).config


def live_book(**changes: Any) -> TradingConfig:
    usual: dict[str, Any] = {
        "book": "b",
        "interval": 0,
        "agents": "vol_trend,js=remote",
        "shadow": (),
        "preset": "balanced",
        **dict.fromkeys(("fee_bp", "lot", "least_order"), None),
        **dict.fromkeys(("slippage_bp", "half_spread_bp", "participation"), 0.0),
        "delay": 1,
        "capital": 1e6,
        "seed": 0,
        "on_halt": "stop",
        "retraining": "off",
        "long_only": False,
    }
    return LiveBook(**usual | changes).draft("BTC/USDT").config


def test_they_are_settings_of_the_book() -> None:
    for made in (chosen(seats=" js ", keyed=True), live_book(seats="js", keyed=True)):
        assert (made.seats, made.keyed) == (("js",), True)
    for made in (chosen(), live_book(seats=None)):
        assert (made.seats, made.keyed) == ((), False)


def test_a_seat_of_nobody_is_refused() -> None:
    with pytest.raises(ConfigError, match="seats names nobody: name agents of the book"):
        chosen(seats="nobody")


@pytest.mark.parametrize(("command", "names"), [
    ("feed", {"--seats", "--keyed"}), ("live", {"--seats"}), ("file", {"--seats", "--keyed"}),
])  # fmt: skip
def test_the_commands_have_them(command: str, names: set[str]) -> None:
    app = typer.Typer()
    app.command()(COMMANDS[command])
    there = {name for param in typer.main.get_command(app).params for name in param.opts}
    assert {name for name in ("--seats", "--keyed") if name in there} == names
