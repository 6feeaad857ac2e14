"""`windvane agents`: who is there, which laws a class breaks, and a package to start from."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from cli_harness import refusal, simulated, windvane

import guests
from windvane.agents.factory import AGENTS
from windvane.infra.dev.agent_laws import LAWS, verdicts
from windvane.testing import agent_laws


def broken_by(kind: type[guests.Drift]) -> dict[str, str]:
    return {verdict.law: verdict.broken for verdict in agent_laws(kind) if verdict.broken}


class TestLaws:
    @pytest.mark.parametrize("kind", [*AGENTS.values(), guests.Drift, guests.Breakout, guests.Vandal])
    def test_who_keeps_them_all(self, kind: type[guests.Drift]) -> None:
        assert broken_by(kind) == {}

    @pytest.mark.parametrize(
        ("kind", "law", "said"),
        [
            (guests.Prophet, "causal", "row 1099 depends on rows from 1100 on"),
            (guests.Measured, "scale-free", "with prices and volumes times 8, the confidence of row"),
            (guests.Forgetful, "however rows are cut", "in calls of one row each, row"),
            (guests.Restless, "rows without news", "row 11 brings nothing new"),
            (guests.Moody, "the same again", "asked again, it proposes otherwise from row"),
            (guests.Careless, "in range", "the action of row"),
            (guests.Greedy, "in range", "proposes a target of 2.0: give -1 to 1"),
            (guests.Amnesiac, "state and restore", "restored from its state after row"),
            (guests.Wordy, "state and restore", "has a state that cannot be stored"),
        ],
    )
    def test_who_breaks_one_is_told_where(self, kind: type[guests.Drift], law: str, said: str) -> None:
        assert said in broken_by(kind)[law]

    def test_what_is_shared_is_copied_for_it(self) -> None:
        """A guest cannot change a state that was taken of it, whatever it hands out."""
        assert broken_by(guests.Sharing) == {}
        alone = {verdict.law: verdict.broken for verdict in verdicts(guests.Sharing)}
        assert alone["state and restore"] == "its state changes after it was told: return copies"


class TestCheck:
    def test_a_line_a_law_and_the_time_of_a_row(self) -> None:
        ran = windvane("agents", "check", "mine=guests:Drift")
        assert (ran.code, ran.err) == (0, "")
        lines = ran.out.splitlines()
        assert lines[:-1] == [f"kept    {law}" for law in LAWS]
        assert "µs a row in one call" in lines[-1]

    def test_a_broken_law_is_exit_code_1(self) -> None:
        ran = windvane("agents", "check", "mine=guests:Prophet")
        assert ran.code == 1
        assert "broken  causal: row 1099 depends on rows from 1100 on" in ran.out

    def test_what_cannot_be_made_is_refused(self) -> None:
        assert "unknown agent 'vol_trnd'" in refusal(windvane("agents", "check", "vol_trnd"))
        remote = windvane("agents", "check", "js=remote", "--bootstrap", "127.0.0.1:1")
        assert "no broker answers at 127.0.0.1:1" in refusal(remote)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `init` writes."""
    folder = tmp_path_factory.mktemp("init")
    ran = windvane("agents", "init", "my_trend", "--in", folder)
    assert ran.code == 0, ran.err
    return folder / "my_trend"


class TestInit:
    def test_its_own_test_passes(self, package: Path) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."],
            cwd=package,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        assert f"{len(LAWS)} passed" in done.stdout

    def test_once_installed_it_is_listed_and_trades(
        self, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
        ((name, target),) = project["entry-points"]["windvane.agents"].items()
        info = tmp_path / "my_trend-0.1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-desk\nVersion: 0.1.0\n")
        (info / "entry_points.txt").write_text(f"[windvane.agents]\n{name} = {target}\nlost = no_such:X\n")
        monkeypatch.syspath_prepend(str(package))
        monkeypatch.syspath_prepend(str(tmp_path))
        lines = {line.split()[0]: line for line in windvane("agents", "list").out.splitlines()}
        assert set(lines) == {"agent", *AGENTS, "my_trend", "lost"}
        assert lines["my_trend"].split()[1:4] == ["my-desk", "1", "48"]
        assert "Proposes a position in proportion" in lines["my_trend"]
        assert "cannot be made" in lines["lost"]
        simulated(tmp_path / "m.parquet", 700, seed=3)
        words = ("--agents", "my_trend,buy_and_hold", "--out", tmp_path / "run", "--json")
        ran = windvane("backtest", tmp_path / "m.parquet", *words)
        assert ran.code == 0, ran.err
        assert '"kind": "my_trend"' in ran.out

    @pytest.mark.parametrize("name", ["vol_trend", "remote", "My-Trend", "class", "a.b", "windvane"])
    def test_a_name_that_cannot_be_is_refused(self, tmp_path: Path, name: str) -> None:
        assert "give" in refusal(windvane("agents", "init", name, "--in", tmp_path))
        assert not list(tmp_path.iterdir())

    def test_nothing_is_overwritten(self, package: Path) -> None:
        assert "is there already" in refusal(windvane("agents", "init", "my_trend", "--in", package.parent))
