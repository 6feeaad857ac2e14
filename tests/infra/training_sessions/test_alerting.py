"""Alerts reach a webhook, and never stop or betray who sends them; what the process uses is told."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from windvane.infra.training_sessions.alerting import WEBHOOK, WEBHOOK_FILE, send_alert
from windvane.infra.training_sessions.resources import monitor_resources
from windvane.metamodel.base.config import ConfigError


class Hook(BaseHTTPRequestHandler):
    """Takes what is posted; says 500 where the path says so."""

    taken: list[tuple[str, dict[str, Any]]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        type(self).taken.append((self.path, json.loads(body)))
        self.send_response(500 if "broken" in self.path else 204)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.delenv(WEBHOOK, raising=False)
    monkeypatch.delenv(WEBHOOK_FILE, raising=False)
    Hook.taken = []
    server = HTTPServer(("127.0.0.1", 0), Hook)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_alert_reaches_the_webhook(
    hook: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert send_alert("Low Sharpe ratio detected", webhook=f"{hook}/T0K3N?a=b", sharpe=0.1)
    monkeypatch.setenv(WEBHOOK, f"{hook}/env")
    assert send_alert("again")
    monkeypatch.delenv(WEBHOOK)
    (tmp_path / "url").write_text(f"{hook}/file\n")
    monkeypatch.setenv(WEBHOOK_FILE, str(tmp_path / "url"))
    assert send_alert("and again")
    assert Hook.taken == [
        ("/T0K3N?a=b", {"text": "Low Sharpe ratio detected", "source": "windvane", "sharpe": 0.1}),
        ("/env", {"text": "again", "source": "windvane"}),
        ("/file", {"text": "and again", "source": "windvane"}),
    ]
    said = capsys.readouterr().err
    assert "Low Sharpe ratio detected" in said
    assert "T0K3N" not in said
    assert "127.0.0.1" not in said


def test_a_webhook_that_is_away_or_broken_stops_nobody(hook: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert not send_alert("x", webhook=f"{hook}/broken")
    assert not send_alert("y", webhook="http://127.0.0.1:1/")
    assert capsys.readouterr().err.count("the webhook took no alert") == 2


def test_without_a_webhook_an_alert_is_logged(hook: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert not send_alert("High regime instability detected")
    assert "High regime instability detected" in capsys.readouterr().err
    assert Hook.taken == []


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "not a url", "file:///etc/passwd"])
def test_what_is_no_url_is_refused_without_telling_it(url: str) -> None:
    with pytest.raises(ConfigError, match=WEBHOOK) as refused:
        send_alert("x", webhook=url)
    assert url not in str(refused.value)


def test_what_the_process_uses() -> None:
    memory, _ = monitor_resources()
    held = np.ones(64 * 2**17)  # 64 MB: allocators take no more than 32 from what the process had before
    more, cpu = monitor_resources()
    assert more > memory + 48
    assert cpu >= 0.0
    assert held.sum() == len(held)
