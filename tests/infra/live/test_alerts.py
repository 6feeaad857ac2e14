"""Alerts: once for each cause until it is over, sent without holding up or betraying anybody."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from windvane.infra.live import alerting
from windvane.infra.live.alerting import ALIVE, TEMPLATE, URL, Alerting, AlertSettings
from windvane.infra.live.alerts import Facts, Limits, Watch
from windvane.metamodel.base.config import ConfigError

WELL = Facts(
    now=0.0,
    day=20_000,
    state="active",
    silent=0.0,
    dials=2,
    letters=0,
    kept=0,
    offset=0.1,
    rows=10,
    decided=10,
    stored=True,
    equity=1e6,
    pnl=0.0,
    capital=1e6,
)
BAD = {
    "halt": {"state": "halted"},
    "drawdown": {"equity": 8.9e5},
    "silence": {"silent": 61.0},
    "reconnects": {"dials": 12},
    "letters": {"letters": 10},
    "retraining": {"kept": 3},
    "clock": {"offset": -1.3},
    "storing": {"stored": False},
}


class TestWhatIsTold:
    @pytest.mark.parametrize("cause", BAD)
    def test_each_cause_is_told_once_and_so_is_its_end(self, cause: str) -> None:
        watch = Watch("main")
        assert watch.look(WELL) == []
        bad = replace(WELL, now=1.0, **BAD[cause])
        ((name, over, text),) = watch.look(bad)
        assert (name, over) == (cause, False)
        assert text.startswith("main: ")
        assert ":" in text.removeprefix("main: "), "it says what to do"
        assert watch.look(replace(bad, now=2.0)) == []
        later = replace(WELL, now=3_000.0, dials=bad.dials, letters=bad.letters)
        assert [(a.cause, a.over) for a in watch.look(later)] == [(cause, True)]
        assert watch.look(replace(later, now=3_001.0)) == []

    @given(st.lists(st.sampled_from([None, *BAD]), max_size=40))
    def test_beginnings_and_ends_take_turns(self, states: list[str | None]) -> None:
        watch, said = Watch("main"), []
        for k, cause in enumerate(states):
            facts = replace(WELL, now=1_000.0 * k)
            said += watch.look(facts if cause is None else replace(facts, **BAD[cause]))
        for cause in BAD:
            turns = [alert.over for alert in said if alert.cause == cause]
            assert turns == [bool(k % 2) for k in range(len(turns))]

    def test_what_trembles_about_its_limit_is_told_once(self) -> None:
        watch = Watch("main", Limits(offset=1.0))
        offsets = (0.9, 1.1, 0.9, 1.1, 0.6)
        said = [watch.look(replace(WELL, offset=offset)) for offset in offsets]
        assert [len(alerts) for alerts in said] == [0, 1, 0, 0, 0]

    def test_dials_of_long_ago_do_not_count(self) -> None:
        watch = Watch("main")
        said = [watch.look(replace(WELL, now=100.0 * k, dials=2 * k)) for k in range(40)]
        assert not any(said)

    def test_each_day_is_summed_up(self) -> None:
        watch = Watch("main")
        watch.look(WELL)
        first = replace(WELL, day=20_001, equity=1.0e6 + 10, rows=50, orders=3)
        (alert,) = watch.look(first)
        assert "made +10.00 with 3 orders in 40 rows" in alert.text
        second = replace(first, day=20_002, equity=1.0e6 - 5, rows=90, orders=4, letters=2)
        (alert,) = watch.look(second)
        assert alert.cause == "summary"
        assert "made -15.00 with 1 orders in 40 rows" in alert.text
        assert watch.look(second) == []


class Server:
    """A webhook that keeps what it gets, and answers as it is told."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str, str]] = []  # path, type, body
        self.refusals = 0
        self.hangs = False
        self.url = ""
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._ready.wait(10)

    async def _serve(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self._ready.set()
        while not self._stop.is_set():
            await asyncio.sleep(0.01)
        await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        while self.hangs and not self._stop.is_set():
            await asyncio.sleep(0.01)
        if self.refusals:
            self.refusals -= 1
            return web.Response(status=503)
        self.taken.append((request.path, request.content_type, await request.text()))
        return web.Response(status=204)

    def until(self, number: int) -> None:
        end = time.monotonic() + 10
        while len(self.taken) < number:
            assert time.monotonic() < end, self.taken
            time.sleep(0.01)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.stop()


def told(settings: AlertSettings, facts: Facts, **how: object) -> Alerting:
    """One that was fine and has looked at facts that are not."""
    made = Alerting("main", settings, **how)
    made.look(WELL)
    made.look(facts)
    return made


HALT = replace(WELL, **BAD["halt"])


class TestWhatIsSent:
    @pytest.mark.parametrize(
        ("template", "kind", "begin"),
        [
            (alerting.SLACK, "application/json", '{"text": "main: trading is halted'),
            ('{"content": "{text}"}', "application/json", '{"content": "main: trading'),
            (
                '{"chat_id": "7", "text": "{cause} {text}"}',
                "application/json",
                '{"chat_id": "7", "text": "halt main:',
            ),
            ("{book}! {text}", "text/plain", "main! main: trading is halted"),
        ],
        ids=["slack", "discord", "telegram", "ntfy"],
    )
    def test_in_the_form_that_is_asked_for(
        self, server: Server, template: str, kind: str, begin: str
    ) -> None:
        made = told(AlertSettings(f"{server.url}/hook?a=b", template), HALT)
        server.until(1)
        made.close()
        ((path, content_type, body),) = server.taken
        assert (path, content_type) == ("/hook", kind)
        assert body.startswith(begin)

    def test_texts_are_escaped_in_json(self) -> None:
        settings = AlertSettings(None, '{"text": "{text}", "by": "{book}"}')
        body = settings.body('a "b"\n{book}', "c\\", "d")
        assert alerting.json.loads(body) == {"text": 'a "b"\n{book}', "by": "c\\"}

    def test_again_where_it_was_refused_and_never_with_the_url_in_the_log(
        self, server: Server, capsys: pytest.CaptureFixture[str]
    ) -> None:
        server.refusals = 2
        made = told(AlertSettings(f"{server.url}/T0K3N"), HALT, pauses=(0.01, 0.01))
        server.until(1)
        made.close()
        said = capsys.readouterr().err
        assert said.count("the webhook took no alert") == 2
        assert "trading is halted" in said
        assert "T0K3N" not in said
        assert "127.0.0.1" not in said

    def test_a_webhook_that_hangs_or_is_away_holds_up_nobody(
        self, server: Server, capsys: pytest.CaptureFixture[str]
    ) -> None:
        server.hangs = True
        for url in (server.url, "http://127.0.0.1:1"):
            began = time.monotonic()
            made = told(AlertSettings(url), HALT, seconds=0.2, pauses=())
            for k in range(1_000):  # turn after turn, more than wait
                made.look(replace(WELL if k % 2 else HALT, now=float(k)))
            assert time.monotonic() - began < 2.0
            made.close(0.1)
            assert time.monotonic() - began < 5.0
        assert "an alert is dropped" in capsys.readouterr().err

    def test_a_sign_of_life_each_minute_while_all_is_well(self, server: Server) -> None:
        made = Alerting("main", AlertSettings(alive=f"{server.url}/alive"), every=60.0)
        for second in range(130):
            made.look(replace(WELL, now=float(second)))
        for second, bad in enumerate(({"silent": 60.0}, {"decided": 9}, {"stored": False})):
            for step in range(3):
                made.look(replace(WELL, now=200.0 + 300.0 * second + 100.0 * step, **bad))
        made.close()
        assert [path for path, _, _ in server.taken] == ["/alive"] * 3


class TestSettings:
    def test_of_the_environment(self, tmp_path: Path) -> None:
        (tmp_path / "url").write_text("https://hooks.example/T0K3N\n")
        loaded = AlertSettings.load(
            {f"{URL}_FILE": str(tmp_path / "url"), TEMPLATE: "{text}", ALIVE: "http://a/b"}
        )
        assert loaded == AlertSettings("https://hooks.example/T0K3N", "{text}", "http://a/b")
        assert "T0K3N" not in repr(loaded)
        assert "a/b" not in repr(loaded)
        assert Alerting.of_environment("main", {}) is None

    @pytest.mark.parametrize(
        ("environment", "said"),
        [
            ({URL: "hooks.example/T0K3N"}, "no http or https URL"),
            ({ALIVE: "ftp://T0K3N"}, "no http or https URL"),
            ({URL: "http://a", TEMPLATE: '{"text": "x"}'}, "has no {text}"),
            ({URL: "http://a", TEMPLATE: '{"text": {text}}'}, "begins as JSON and is none"),
            ({URL: "http://a", f"{URL}_FILE": "x"}, "both set"),
            ({f"{URL}_FILE": "/nowhere/at/all"}, "cannot be read"),
        ],
    )
    def test_what_cannot_be_is_refused_without_telling_it(
        self, environment: dict[str, str], said: str
    ) -> None:
        with pytest.raises(ConfigError) as refused:
            Alerting.of_environment("main", environment)
        assert said in str(refused.value)
        assert "T0K3N" not in str(refused.value)
