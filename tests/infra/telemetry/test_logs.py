"""Log lines that any collector can read, that never raise, and that show no secret."""

import io
import json
import logging
import logging.config
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_harness import refusal, windvane

from windvane.infra.telemetry import logs


@pytest.fixture
def written(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], str]]:
    """Gives what was written to stderr; the root logger is put back as it was."""
    monkeypatch.setenv(logs.FORM, "json")
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield lambda: capsys.readouterr().err
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


class _Hostile:
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


class TestLines:
    def test_a_line_is_one_object_with_time_level_and_place(self, written: Callable[[], str]) -> None:
        log = logs.logger(stage="ensemble").bind(partition=3)
        log.info(
            "recovered\nand well", seq=np.int64(7), seconds=1.5, folder=Path("a"), book="b", nan=float("nan")
        )
        (line,) = lines(written())
        assert list(line)[:7] == ["ts", "level", "event", "stage", "partition", "book", "seq"]
        assert line["event"] == "recovered\nand well"
        assert (line["stage"], line["partition"], line["seq"], line["seconds"]) == ("ensemble", 3, 7, 1.5)
        assert line["nan"] is None
        moment = np.datetime64(line["ts"].removesuffix("Z"))
        assert abs(moment - np.datetime64("now")) < np.timedelta64(5, "s")

    def test_no_secret_is_shown(self, written: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(
            logging.getLogger("aiokafka"), "disabled", False
        )  # as Faust leaves it, where it ran
        monkeypatch.setattr(logging.getLogger("aiokafka"), "level", logging.WARNING)
        route = logs.route(stage="features")
        logs.logger().error(
            "cannot log in",
            password="hunter2-a",  # noqa: S106
            config={"sasl_plain_password": "hunter2-b", "username": "me"},
            error=ValueError("bad sasl_plain_password='hunter2-c', host=x"),
            control_key=b"hunter2-d",
        )
        logging.getLogger("aiokafka").warning(
            "tried %s", {"sasl_plain_password": "hunter2-e", "ssl_context": None}
        )
        assert route in logging.getLogger().handlers
        text = written()
        assert "hunter2" not in text
        assert [line["event"][:5] for line in lines(text)] == ["canno", "tried"]
        assert lines(text)[0]["config"]["username"] == "me"

    @pytest.mark.parametrize(
        "hostile",
        [_Hostile(), "\udcff", 2**80, b"\xff", {1: {2: {3: {4: 5}}}}, {"a", 1}, object, np.zeros(9)],
    )
    def test_logging_never_raises(
        self, written: Callable[[], str], monkeypatch: pytest.MonkeyPatch, hostile: object
    ) -> None:
        logs.logger().warning("strange", value=hostile)
        (line,) = lines(written())
        assert line["event"] == "strange"
        closed = io.StringIO()
        closed.close()
        monkeypatch.setattr(sys, "stderr", closed)
        logs.logger().warning("nobody reads")

    def test_what_libraries_say_comes_in_the_same_form(self, written: Callable[[], str]) -> None:
        logging.config.dictConfig(logs.config(stage="proposals"))
        library = logging.getLogger("faust.some.part")
        library.info("too quiet")
        for _ in range(50):
            library.warning("cannot reach %s", "the broker")
        library.error("arguments %d do not fit", "x")
        try:
            raise ConnectionError("gone")
        except ConnectionError:
            library.exception("failed")
        first, second, third = lines(written())
        assert (first["event"], first["level"], first["stage"]) == (
            "cannot reach the broker",
            "warning",
            "proposals",
        )
        assert first["logger"] == "faust.some.part"
        assert second["event"] == "arguments %d do not fit"
        assert third["error"] == "ConnectionError: gone"
        assert "Traceback" in third["trace"]

    @pytest.mark.parametrize(
        ("name", "known"), [(logs.FORM, "json, text"), (logs.LEAST, "debug, info, warning")]
    )
    def test_a_variable_that_says_what_is_not_known_is_refused(
        self, monkeypatch: pytest.MonkeyPatch, name: str, known: str
    ) -> None:
        monkeypatch.setenv(name, "loud")
        assert f"variable {name} is 'loud': give one of {known}" in refusal(windvane("doctor"))
        monkeypatch.setenv(name, "")
        assert windvane("doctor").code == 0

    def test_a_person_reads_text(self, written: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(logs.FORM, "text")
        logs.logger(stage="features").info("recovered", partition=1, seconds=0.25)
        monkeypatch.setenv("WINDVANE_LOG_LEVEL", "error")
        logs.logger(stage="features").warning("not now")
        (line,) = written().splitlines()
        assert line.endswith("info    recovered  stage=features partition=1 seconds=0.25")
