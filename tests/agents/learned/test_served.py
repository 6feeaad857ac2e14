"""A policy on disk in the pipeline: named by its folder, it trades as any agent does; no record names the folder."""

import os
import pickle  # noqa: TID251 (to write what must never be read)
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from cli_harness import refusal, simulated, windvane

from simulated_book import config, opening, same, table, ticks
from some_policy import form, layers, policy, rows
from windvane.agents.errors import WindvaneError
from windvane.agents.factory import create_agents
from windvane.agents.roster import Roster, roster
from windvane.infra.policies.folder import FORM, WEIGHTS, write_policy
from windvane.metamodel.base.config import TradingConfig
from windvane.streams.codec import to_json
from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.events import BookClosed, Event, Orders, Proposals, cut
from windvane.streams.topology import bound

ROWS = 900
FILES = ("orders.jsonl", "fills.jsonl", "decisions.parquet")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("policies") / "trend"
    write_policy(made, layers((51, 16, 8, 3), 0, 0), form())
    return made


@pytest.fixture(scope="module")
def agents(folder: Path) -> Roster:
    return roster(["ema_momentum", f"mine={folder}"])


def run(settings: TradingConfig, agents: Roster, batch: int) -> list[Event]:
    """All events of a book but its opening and closing, whose rows come in batches."""
    seen: list[Event] = []
    runner = EmbeddedRunner(lambda topic, event: seen.append(event), topology=bound(agents.bindings))
    whole = ticks(ROWS)
    runner.feed([opening(settings), *(cut(whole, t, min(t + batch, ROWS)) for t in range(0, ROWS, batch))])
    runner.feed([BookClosed(book="book", last=ROWS - 1)])
    return seen


class TestNames:
    def test_a_folder_is_an_agent_of_the_kind_policy(self, folder: Path, agents: Roster) -> None:
        version = policy(0).version.partition("-")[0]
        assert agents.kinds == ("ema_momentum", "policy")
        assert agents.versions[1].startswith(f"{version}-")
        assert len(agents.versions[1]) == len("1-") + 12
        (agent,) = create_agents([f"mine={folder}"])
        assert (agent.name, agent.warmup) == ("mine", 3)
        x, price, good = rows(200, 3)
        for ours, theirs in zip(
            agent.propose(x, price, good), policy(0).propose(x, price, good), strict=True
        ):
            assert ours.tobytes() == theirs.tobytes()

    def test_naming_and_serving_one_loads_no_torch(self, folder: Path) -> None:
        code = (
            "import sys, numpy as np, windvane\n"
            f"agent = windvane.create_agents(['mine={folder}'])[0]\n"
            "agent.propose(np.zeros((9, 50)), np.ones(9), np.ones(9, np.int64))\n"
            "assert 'torch' not in sys.modules"
        )
        subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


class TestPipeline:
    def test_batches_change_no_byte(self, agents: Roster) -> None:
        settings = config(**agents.recorded())
        wanted = table(run(settings, agents, ROWS))
        for batch in (1, 37, 256):
            same(table(run(settings, agents, batch)), wanted)

    def test_it_has_a_say(self, agents: Roster) -> None:
        seen = run(config(**agents.recorded()), agents, ROWS)
        targets = np.concatenate([e.target[:, 1] for e in seen if isinstance(e, Proposals)])
        assert len(set(targets)) > 1
        alone = roster(["ema_momentum", "mine=buy_and_hold"])
        others = run(config(**alone.recorded()), alone, ROWS)
        orders, without = ([to_json(e) for e in events if isinstance(e, Orders)] for events in (seen, others))
        assert orders != without

    @pytest.mark.parametrize("at", [1, 300, 899])
    def test_a_book_goes_on_from_its_snapshot(self, agents: Roster, at: int) -> None:
        settings, whole = config(**agents.recorded()), ticks(ROWS)
        wanted, seen = table(run(settings, agents, ROWS)), []
        stages = bound(agents.bindings)
        first = EmbeddedRunner(lambda topic, event: seen.append(event), topology=stages)
        first.feed([opening(settings), cut(whole, 0, at)])
        again = EmbeddedRunner(
            lambda topic, event: seen.append(event), topology=stages, snapshot=first.snapshot()
        )
        again.feed([cut(whole, at, ROWS), BookClosed(book="book", last=ROWS - 1)])
        same(table(seen), wanted)

    def test_nothing_that_is_published_or_stored_names_the_folder(self, agents: Roster, folder: Path) -> None:
        seen: list[Event] = []
        runner = EmbeddedRunner(lambda topic, event: seen.append(event), topology=bound(agents.bindings))
        runner.feed([opening(config(**agents.recorded())), ticks(ROWS)])
        for place in (str(folder).encode(), folder.name.encode() + b"/"):
            assert place not in b"".join(map(to_json, seen))
            assert place not in runner.snapshot()


class TestCommands:
    @pytest.fixture(scope="class", name="done")
    @staticmethod
    def _done(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """A backtest that was started in the folder beside the policy."""
        home = tmp_path_factory.mktemp("runs")
        simulated(home / "market.parquet", ROWS, seed=5)
        words = ["backtest", str(home / "market.parquet"), "--retraining", "off", "--out", str(home / "run")]
        ran = subprocess.run(
            [
                *(sys.executable, "-c", "from windvane.infra.cli.main import main; main()", *words),
                *("--agents", f"ema_momentum,mine={folder.name}"),
            ],
            cwd=folder.parent,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        return home / "run"

    def test_a_backtest_with_it_is_the_same_however_it_is_run(
        self, done: Path, folder: Path, tmp_path: Path
    ) -> None:
        for name, more in (("wire", ["--wire"]), ("batch", ["--batch", "7"])):
            ran = windvane(
                *("backtest", done.parent / "market.parquet", "--agents", f"ema_momentum,mine={folder}"),
                *("--retraining", "off", "--out", tmp_path / name, *more),
            )
            assert ran.code == 0, ran.err
            for file in FILES:
                assert (tmp_path / name / file).read_bytes() == (done / file).read_bytes()
        told = msgspec.json.decode((done / "metrics.json").read_bytes())
        assert told["agents"]["mine"]["kind"] == "policy"
        assert told["series"]["agent:mine"]["trades"] > 0

    def test_who_has_not_the_folder_replays_what_it_proposed(self, done: Path, tmp_path: Path) -> None:
        ran = windvane("replay", done, "--out", tmp_path / "again")
        assert ran.code == 0, ran.err
        assert "what mine (policy, version 1-" in ran.err
        for file in FILES:
            assert (tmp_path / "again" / file).read_bytes() == (done / file).read_bytes()

    def test_what_is_no_policy_is_refused_before_anything_is_written(
        self, done: Path, folder: Path, tmp_path: Path
    ) -> None:
        spoilt = {name: tmp_path / name for name in ("pickled", "turned", "nan", "huge", "zipped", "deep")}
        for place in spoilt.values():
            place.mkdir()
            for file in (FORM, WEIGHTS):
                (place / file).write_bytes((folder / file).read_bytes())
        (spoilt["pickled"] / WEIGHTS).rename(spoilt["pickled"] / "model.pkl")
        (spoilt["pickled"] / "model.pkl").write_bytes(pickle.dumps({}))
        (spoilt["turned"] / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-1] + b"\x01")
        bad = layers((51, 16, 8, 3), 0, 0)
        bad.biases[0][3] = np.nan
        write_policy(spoilt["nan"], bad, form())
        text = (folder / FORM).read_text().replace("16,\n    8", "16,\n    100000000000")
        (spoilt["huge"] / FORM).write_text(text)
        (spoilt["zipped"] / WEIGHTS).unlink()
        (spoilt["zipped"] / "sb3.zip").write_bytes(b"PK\x03\x04")
        (spoilt["deep"] / FORM).write_text("[" * 200_000)
        said = {
            spoilt[
                "pickled"
            ]: "model.pkl may be a pickle, which runs code when it is read, so it is never read",
            spoilt["turned"]: "weights.safetensors has another checksum than policy.json says",
            spoilt["nan"]: "its layer0.bias has a number that is NaN",
            spoilt["huge"]: "give 1 to 4 layers of 1 to 1024 units each",
            spoilt["zipped"]: "sb3.zip may be a pickle",
            spoilt["zipped"] / "sb3.zip": "it is a file that may hold a pickle",
            spoilt["deep"]: "policy.json is no JSON",
            tmp_path / "nowhere": "it is no folder: give one that `windvane train",
        }
        for place, what in said.items():
            words = ("backtest", done.parent / "market.parquet", "--agents", f"mine={place}")
            told = refusal(windvane(*words, "--out", tmp_path / "out"))
            assert f"agent mine cannot be made: policy {place}: " in told
            assert what in told
            assert not (tmp_path / "out").exists()

    def test_a_checked_policy_keeps_the_contract(self, folder: Path) -> None:
        ran = windvane("agents", "check", f"mine={folder}")
        assert ran.code == 0, ran.out + ran.err


def test_a_folder_that_is_broken_is_taken_for_no_other_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    (folder.parent / "empty").mkdir()
    with pytest.raises(WindvaneError, match=r"policy empty: policy\.json is missing: [^;]*$"):
        create_agents(["mine=empty"])
