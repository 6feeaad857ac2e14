"""Where stages keep their states: in the user's folder, and never begun anew in silence."""

import asyncio
import re
import subprocess
from pathlib import Path

import pytest
from cli_harness import windvane
from running import Process

from windvane.agents.kernel import cache_folder
from windvane.infra.kafka.broker import layout
from windvane.infra.kafka.broker.settings import KafkaSettings
from windvane.infra.kafka.broker.states import check_none_left, folder_of, users_folder
from windvane.metamodel.base.config import ConfigError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of the user, who stands in a folder of his own; gives the folder of states."""
    monkeypatch.setenv("WINDVANE_CACHE", str(cache_folder().parent))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("XDG_STATE_HOME", "WINDVANE_STATE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return users_folder()


def test_it_is_the_users_wherever_he_stands(home: Path, tmp_path: Path) -> None:
    assert home.is_relative_to(tmp_path / "home")
    assert folder_of(None) == home
    assert folder_of(Path("mine")) == Path("mine")
    assert folder_of(Path("topic")) is None


def test_doctor_names_it(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"states of stages: none yet in {home}\n" in windvane("doctor").err
    (home / "cluster").mkdir(parents=True)
    (home / "cluster" / "0.wvs").touch()
    assert f"states of stages: in {home}\n" in windvane("doctor").err
    monkeypatch.setenv("WINDVANE_STATE", "topic")
    assert "states of stages: on Kafka, as WINDVANE_STATE says\n" in windvane("doctor").err
    (tmp_path / "file").touch()
    monkeypatch.setenv("WINDVANE_STATE", str(tmp_path / "file" / "below"))
    assert "cannot be written: set WINDVANE_STATE to a folder that can\n" in windvane("doctor").err


def test_who_has_no_home_is_asked_for_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "windvane.infra.kafka.broker.states.user_state_path", lambda *a, **k: Path("~/.local/state")
    )
    with pytest.raises(ConfigError, match=r"no home folder .* give --state FOLDER, or set WINDVANE_STATE$"):
        folder_of(None)


def test_what_the_sentence_says_takes_the_old_states_over(home: Path) -> None:
    below = Path("cluster", "prefix", "features")
    check_none_left(home, below)
    (Path("states") / below).mkdir(parents=True)
    (Path("states") / below / "0.wvs").write_text("old")
    with pytest.raises(ConfigError, match=r"^\./states holds states of features") as told:
        check_none_left(home, below)
    (command,) = re.findall(r"`(.*?)`", str(told.value))
    subprocess.run(["/bin/sh", "-c", command], check=True)
    assert (home / below / "0.wvs").read_text() == "old"
    check_none_left(home, below)


def test_a_worker_does_not_begin_anew_beside_states_of_an_earlier_version(
    home: Path, topics: KafkaSettings, tmp_path: Path
) -> None:
    old = Path("states", asyncio.run(layout.cluster(topics)), topics.prefix, "features", "0.wvs")
    old.parent.mkdir(parents=True)
    old.write_bytes(b"of an earlier version")
    where = ("--bootstrap", topics.bootstrap, "--prefix", topics.prefix)
    worker = Process(tmp_path / "log", "worker", "features", *where)
    assert worker.ended() == 2, worker.text
    (said,) = worker.text.splitlines()
    assert said.startswith("windvane: ./states holds states of features, as an earlier version kept them, ")
    assert said.endswith("or go on there with --state states")
    assert not home.exists()
    worker = Process(tmp_path / "log", "worker", "features", *where, "--state", "states")
    assert worker.ended() == 2
    assert "0.wvs is damaged: remove it" in worker.text
