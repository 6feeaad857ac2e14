"""What `windvane replay` replays follows from what is named; what would have no effect is refused."""

import socket
from pathlib import Path

import pytest
from cli_harness import refusal, windvane

BARS = "ts,open,high,low,close,volume\n" + "".join(
    f"{1_709_251_200 + 60 * k},100,102,99,{100 + k % 3},5\n" for k in range(50)
)


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> str:
    """The configured broker: nothing listens there."""
    with socket.socket() as link:
        link.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{link.getsockname()[1]}"
    monkeypatch.setenv("WINDVANE_KAFKA_BOOTSTRAP", address)
    return address


@pytest.fixture
def bars(tmp_path: Path) -> Path:
    (tmp_path / "bars.csv").write_text(BARS)
    return tmp_path / "bars.csv"


@pytest.mark.parametrize(
    "words",
    [
        ("{bars}", "--book", "bars"),
        ("{bars}", "--book", "bars", "--lockstep", "--wait", "--fee-bp", "2"),
        ("--as-recorded", "--book", "bars"),
        ("--from-topic", "ticks", "--from-book", "bars", "--book", "again"),
        ("file", "{bars}", "--book", "bars", "--lockstep", "--speed", "60x", "--records", "1"),
        ("audit", "--book", "bars"),
        ("topic", "--from-book", "bars", "--book", "again"),
        ("topic", "--from-topic", "ticks"),
    ],
)
def test_what_is_no_run_goes_to_the_broker_that_is_configured(
    words: tuple[str, ...], bars: Path, nowhere: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = refusal(windvane("replay", *(word.format(bars=bars) for word in words)))
    assert said.startswith(f"no broker answers at {nowhere}: ")


def test_a_run_is_replayed_here_whatever_broker_is_configured(
    bars: Path, nowhere: str, tmp_path: Path
) -> None:
    assert windvane("backtest", bars, "--out", tmp_path / "run").code == 0
    ran = windvane("replay", tmp_path / "run", "--out", tmp_path / "again")
    assert (ran.code, "the same to the last bit" in ran.err) == (0, True)
    ran = windvane("replay", "journal", tmp_path / "run", "--out", tmp_path / "third", "--json")
    assert (ran.code, ran.out) == (0, (tmp_path / "third" / "metrics.json").read_text())
    said = refusal(windvane("replay", tmp_path / "run", "--bootstrap", nowhere))
    assert said.startswith(f"no broker answers at {nowhere}: ")


@pytest.mark.parametrize(
    ("words", "idle"),
    [
        (("{run}", "--wait", "--speed", "2x"), "--speed and --wait"),
        (("{run}", "--book", "other"), "--book"),
        (("{run}", "--fee-bp", "1.0"), "--fee-bp"),
        (("{run}", "--prefix", "p", "--agents", "vol_trend"), "--agents"),
        (("{bars}", "--json"), "--json"),
        (("{bars}", "--out", "there"), "--out"),
        (("--as-recorded", "--from", "2024-01-01"), "--from"),
        (("--from-topic", "ticks", "--capital", "5"), "--capital"),
        (("journal", "{run}", "--wait"), "--wait"),
        (("journal", "{run}", "--prefix", "p", "--json"), "--json"),
    ],
)
def test_an_option_without_effect_is_refused(
    words: tuple[str, ...], idle: str, bars: Path, tmp_path: Path, nowhere: str
) -> None:
    (tmp_path / "run").mkdir()
    said = refusal(windvane("replay", *(w.format(run=tmp_path / "run", bars=bars) for w in words)))
    assert said.startswith(f"{idle} would have no effect where this replays ")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "nothing to replay: name a run's folder, a market file, or --from-topic ticks"),
        (("nowhere.csv",), "nowhere.csv does not exist: check the path"),
        (
            ("{bars}", "--as-recorded"),
            "--as-recorded follows what a run recorded, and {bars} is none: name its folder",
        ),
        (("{bars}", "--from-topic", "ticks"), "give a file or --from-topic, not both"),
    ],
)
def test_what_cannot_be_replayed(words: tuple[str, ...], sentence: str, bars: Path, nowhere: str) -> None:
    assert refusal(windvane("replay", *(w.format(bars=bars) for w in words))) == sentence.format(bars=bars)


def test_an_option_of_another_way_is_unknown_to_the_way_that_is_named(bars: Path) -> None:
    assert "No such option: --json" in refusal(windvane("replay", "file", bars, "--json"))


def test_a_folder_that_is_called_as_a_way_is_that_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "journal").mkdir()
    monkeypatch.chdir(tmp_path)
    for words in (("journal",), ("journal", "--json"), ("journal", "journal")):
        assert refusal(windvane("replay", *words)).startswith("journal holds no journal: ")
    assert "Missing argument" in refusal(windvane("replay", "file"))
