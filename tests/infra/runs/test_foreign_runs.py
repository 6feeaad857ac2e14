"""Runs with a class of one's own: as a person starts them, and as a stranger replays them who has not the class."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from cli_harness import refusal, simulated, windvane
from killed_run import market, plan

from simulated_book import config, opening, ticks
from windvane.agents.roster import roster
from windvane.infra.runs.backtest import run
from windvane.infra.runs.compare import differences
from windvane.infra.runs.journal import FILE, JournalWriter, read
from windvane.streams.events import BookClosed, Event, Proposals
from windvane.streams.topics import TICKS

ROWS = 900
CLASS = """
import pathlib
pathlib.Path({mark!r}).touch()
from guests import Drift
class Mine(Drift):
    version = "7"
"""
FILES = ("orders.jsonl", "fills.jsonl", "decisions.parquet")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a market and a module, which leaves a mark where it is imported."""
    folder = tmp_path_factory.mktemp("foreign")
    simulated(folder / "market.parquet", ROWS, seed=5)
    (folder / "desk_of_mine.py").write_text(CLASS.format(mark=str(folder / "imported")))
    return folder


def command(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command line as it is started in a folder, with all that tests import on its path."""
    return subprocess.run(
        [sys.executable, "-c", "from windvane.infra.cli.main import main; main()", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def done(home: Path) -> Path:
    """A backtest in which a class of the folder that it was started in takes part."""
    words = (
        "--agents",
        "ema_momentum,mine=desk_of_mine:Mine,slow=vol_trend",
        "--retraining",
        "off",
        "--out",
        "run",
    )
    ran = command(home, "backtest", "market.parquet", *words)
    assert ran.returncode == 0, ran.stderr
    return home / "run"


def test_a_class_of_the_folder_trades(done: Path) -> None:
    assert (done.parent / "imported").exists()
    told = json.loads((done / "metrics.json").read_bytes())
    assert told["agents"] == {
        "ema_momentum": {"kind": "ema_momentum", "version": "1", "known_before": True},
        "mine": {"kind": "class", "version": "7", "known_before": False},
        "slow": {"kind": "vol_trend", "version": "1", "known_before": True},
    }
    assert told["series"]["agent:mine"]["trades"] > 0
    assert "no: they begin at zero" in (done / "report.html").read_text()


def test_nothing_that_a_run_leaves_names_the_code(done: Path) -> None:
    whole = b"".join(path.read_bytes() for path in done.rglob("*") if path.is_file() and path.name != FILE)
    assert b"desk_of_mine" not in whole
    events = list(read(done / "journal"))
    assert "desk_of_mine" not in repr(events)
    said = [event for _, event in events if isinstance(event, Proposals)]
    assert all("mine" in event.agents for event in said)
    assert sum(len(event) for event in said) == ROWS


@pytest.mark.parametrize("more", [[], ["--as-recorded"], ["--wire"]])
def test_who_has_not_the_class_replays_what_it_proposed(done: Path, tmp_path: Path, more: list[str]) -> None:
    shutil.copytree(done, tmp_path / "run")
    mark = done.parent / "imported"
    mark.unlink(missing_ok=True)
    ran = windvane("replay", tmp_path / "run", "--out", tmp_path / "again", *more)
    assert ran.code == 0, ran.err
    assert (
        "what mine (class, version 7) proposed is played as it was recorded: a journal names no code"
        in ran.err
    )
    assert "the same to the last bit" in ran.err
    for name in FILES:
        assert (tmp_path / "again" / name).read_bytes() == (done / name).read_bytes()
    assert not mark.exists()
    once_more = windvane("replay", tmp_path / "again", "--out", tmp_path / "third")
    assert once_more.code == 0, once_more.err


def test_a_run_that_was_stopped_goes_on_with_the_state_of_its_agents(tmp_path: Path) -> None:
    agents = roster(["ema_momentum", "mine=guests:Drift", "a.b=guests:Breakout"])
    whole = replace(plan(), config=config(**agents.recorded()), bindings=agents.bindings, batch=100)
    rows, asked = market(1500), iter(range(100))
    assert run(whole, rows, tmp_path / "whole").finished
    assert not run(whole, rows, tmp_path / "cut", stopping=lambda: next(asked) >= 9).finished
    again = run(whole, rows, tmp_path / "cut")
    assert again.resumed == 900
    assert differences(tmp_path / "whole" / "journal", tmp_path / "cut" / "journal") is None


class TestRefusals:
    @pytest.mark.parametrize(
        ("agents", "said"),
        [
            (
                "vol_trend,js=remote",
                "agent js is of the kind remote and made elsewhere, but a backtest has no topic",
            ),
            ("vol_trend,far=class", "agent far is of the kind class and made elsewhere"),
            ("mine=no_such_module:X", "no_such_module:X cannot be imported"),
            ("pol=./nowhere", "agent pol cannot be made: policy nowhere: it is no folder"),
            ("a.b/c=vol_trend", "has no plain name"),
        ],
    )
    def test_what_cannot_take_part_is_refused_at_the_start(self, home: Path, agents: str, said: str) -> None:
        ran = windvane("backtest", home / "market.parquet", "--agents", agents, "--out", home / "no")
        assert said in refusal(ran)
        assert not (home / "no").exists()

    def test_a_class_that_fails_on_a_row_is_benched_there_and_the_run_says_why(
        self, home: Path, tmp_path: Path
    ) -> None:
        agents = "vol_trend,mine=guests:Greedy"
        ran = windvane("backtest", home / "market.parquet", "--agents", agents, "--out", tmp_path)
        assert (ran.code, "Traceback" in ran.err) == (0, False)
        letters = (tmp_path / "dead_letters.jsonl").read_text()
        assert "agent mine proposes a target of 2.0: give -1 to 1" in letters


class TestStrangersJournals:
    @pytest.fixture(autouse=True)
    def importable(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.syspath_prepend(str(home))

    def journal(self, folder: Path, kinds: tuple[str, ...], events: list[Event]) -> Path:
        settings = config(agents=("vol_trend", "mine"), kinds=kinds)
        with JournalWriter(folder / "journal") as writer:
            for event in (opening(settings), *events):
                writer.write(TICKS, event)
        texts = dict.fromkeys(("file", "bars", "preset"), "")
        info = {"finished": True, "kind": "real", "rejected": {}, "notes": [], "full": False, **texts}
        (folder / "journal" / "run.json").write_text(json.dumps(info))
        return folder

    @pytest.mark.parametrize("kind", ["class", "policy", "remote", "desk_of_mine", "desk_of_mine.Mine"])
    def test_no_word_of_it_is_imported(self, home: Path, tmp_path: Path, kind: str) -> None:
        (home / "imported").unlink(missing_ok=True)
        rows = ticks(60)
        folder = self.journal(tmp_path / "x", ("vol_trend", kind), [rows, BookClosed(book="book", last=59)])
        ran = windvane("replay", folder, "--out", tmp_path / "again")
        assert ran.code == 2
        assert "lacks what mine proposed from row 0 on" in ran.err
        assert "Traceback" not in ran.err
        assert not (home / "imported").exists()

    def test_a_journal_whose_ids_are_code_is_refused(self, home: Path, tmp_path: Path) -> None:
        """Written as such a journal would be: this program itself writes none."""
        folder = self.journal(
            tmp_path / "x", ("vol_trend", "class"), [ticks(60), BookClosed(book="book", last=59)]
        )
        with JournalWriter(folder / "journal") as writer:
            event = opening(config(agents=("vol_trend", "mine"), kinds=("vol_trend", "class")))
            msgspec.structs.force_setattr(event.config, "agents", ("vol_trend", "desk_of_mine:Mine"))
            writer.write(TICKS, event)
        (home / "imported").unlink(missing_ok=True)
        ran = windvane("replay", folder, "--out", tmp_path / "again")
        assert ran.code == 2
        assert "is no name of an agent or kind" in ran.err
        assert "Traceback" not in ran.err
        assert not (home / "imported").exists()


class TestShadows:
    @pytest.fixture(scope="class", name="pair")
    @staticmethod
    def _pair(home: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
        """A run, and the same with shadows."""
        folder = tmp_path_factory.mktemp("shadows")
        words = ["backtest", home / "market.parquet", "--agents", "ema_momentum,buy_and_hold"]
        shadows = ["--shadow", "s=vol_trend,t=ema_momentum", "--shadow", "mine=guests:Drift"]
        for name, more in (("without", []), ("with", shadows)):
            ran = windvane(*words, *more, "--out", folder / name)
            assert ran.code == 0, ran.err
        return folder / "without", folder / "with"

    def test_orders_are_the_same_to_the_byte(self, pair: tuple[Path, Path]) -> None:
        for name in FILES:
            assert (pair[0] / name).read_bytes() == (pair[1] / name).read_bytes()

    def test_they_have_a_place_in_the_report(self, pair: tuple[Path, Path]) -> None:
        without, found = (json.loads((folder / "metrics.json").read_bytes()) for folder in pair)
        assert without["shadows"] == {}
        assert list(found["shadows"]) == ["s", "t", "mine"]
        assert found["series"] == without["series"]
        mine, same = found["shadows"]["mine"], found["shadows"]["t"]
        assert (mine["kind"], mine["version"]) == ("class", "3")
        assert mine["trades"] > 0
        agent = found["series"]["agent:ema_momentum"]
        for name in ("total_return", "max_drawdown", "trades", "fees", "exposure"):
            assert same[name] == pytest.approx(agent[name], rel=1e-12), name
        assert "<h2>Shadows</h2>" in (pair[1] / "report.html").read_text()
        assert "<h2>Shadows</h2>" not in (pair[0] / "report.html").read_text()

    def test_a_replay_has_them_without_their_code(self, pair: tuple[Path, Path], tmp_path: Path) -> None:
        ran = windvane("replay", pair[1], "--out", tmp_path / "again")
        assert ran.code == 0, ran.err
        assert "what mine (class, version 3) proposed is played as it was recorded" in ran.err
        first, second = (json.loads((f / "metrics.json").read_bytes()) for f in (pair[1], tmp_path / "again"))
        assert second["shadows"] == first["shadows"]

    def test_a_remote_one_is_refused(self, home: Path) -> None:
        ran = windvane("backtest", home / "market.parquet", "--shadow", "js=remote")
        assert "--shadow js is remote: a shadow is computed, so name its class" in refusal(ran)
