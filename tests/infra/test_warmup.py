"""Kernels are compiled once: by a child beside the run that comes first, and by nobody after it."""

import subprocess
import sys

import pytest

from windvane.infra.runs import warmup


def test_the_part_of_the_child_runs_alone_and_says_nothing() -> None:
    words = [sys.executable, "-P", "-m", "windvane.infra.runs.warmup", "weighing"]
    ran = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_a_child_is_started_only_where_kernels_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    real = subprocess.Popen

    def noted(words: list[str], **how: object) -> object:
        started.append(words)
        return real(words, **how)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "Popen", noted)
    monkeypatch.setattr(warmup, "compiled_before", lambda: True)
    warmup.warm_up()
    assert started == []
    monkeypatch.setattr(warmup, "compiled_before", lambda: False)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    warmup.warm_up()
    assert [words[-1] for words in started] == ["weighing"]


def test_a_run_that_is_stopped_stops_its_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warmup, "compiled_before", lambda: False)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    children: list[subprocess.Popen[bytes]] = []
    real = subprocess.Popen

    def kept(words: list[str], **how: object) -> subprocess.Popen[bytes]:
        children.append(real(words, **how))  # type: ignore[call-overload]
        return children[-1]

    monkeypatch.setattr(subprocess, "Popen", kept)
    with pytest.raises(KeyboardInterrupt), warmup._weighing_beside():
        raise KeyboardInterrupt
    assert [child.returncode for child in children] == [-9]
