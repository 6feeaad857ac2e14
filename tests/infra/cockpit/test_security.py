"""Who is let in: a plain HTTP client that claims to come from anywhere."""

import http.client
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cockpit_harness import TOKEN, Running, Simulated, minutes

from windvane.infra.cockpit.security import HEADERS, is_loopback, token_of
from windvane.infra.cockpit.server import FILES
from windvane.infra.cockpit.source import CockpitError


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def told(self) -> Any:
        return json.loads(self.body)


class Client:
    """Requests to a cockpit, with headers as they are given; None leaves one out."""

    def __init__(self, running: Running, name: str = "127.0.0.1") -> None:
        self.port = running.cockpit.port
        self.here = f"{name}:{self.port}"

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str | None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            sent = {"Host": self.here, "Content-Length": str(len(body or b""))}
            sent |= {name.replace("_", "-"): value for name, value in headers.items()}  # type: ignore[dict-item]
            for name, value in sent.items():
                if value is not None:
                    connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def press(self, action: str = "halt", *, raw: bytes | None = None, **headers: str | None) -> Answer:
        body = json.dumps({"action": action, "book": "main", "by": "ann"}).encode() if raw is None else raw
        usual: dict[str, str | None] = {
            "Content_Type": "application/json",
            "Authorization": f"Bearer {TOKEN}",
            "Origin": f"http://{self.here}",
            "Sec_Fetch_Site": "same-origin",
        }
        return self.ask("POST", "/api/control", body, **usual | headers)


def simulated() -> Simulated:
    source = Simulated([minutes(700, "main")])
    source.feed("main", 600)
    return source


@pytest.fixture
def source() -> Simulated:
    return simulated()


@pytest.fixture
def client(source: Simulated) -> Iterator[Client]:
    with Running(source) as running:
        yield Client(running)


FOREIGN: dict[str, tuple[int, dict[str, str | None]]] = {
    "a wrong token": (401, {"Authorization": f"Bearer {TOKEN}x"}),
    "no token": (401, {"Authorization": None}),
    "the token of another scheme": (401, {"Authorization": f"Basic {TOKEN}"}),
    "a page of another site": (403, {"Origin": "https://evil.example"}),
    "a page of another port": (403, {"Origin": "http://127.0.0.1:1"}),
    "a page of no origin": (403, {"Origin": "null"}),
    "a page over https": (403, {"Origin": "https://127.0.0.1"}),
    "a browser that says cross-site": (403, {"Sec_Fetch_Site": "cross-site"}),
    "a browser that says same-site": (403, {"Sec_Fetch_Site": "same-site", "Origin": None}),
    "a name that was bound to this address": (421, {"Host": "evil.example"}),
    "such a name with the port": (421, {"Host": "evil.example:80"}),
    "text": (415, {"Content_Type": "text/plain"}),
    "a form": (415, {"Content_Type": "application/x-www-form-urlencoded"}),
    "no type": (415, {"Content_Type": None}),
}


def test_what_comes_from_elsewhere_changes_nothing(client: Client, source: Simulated) -> None:
    for what, (status, headers) in FOREIGN.items():
        answer = client.press(**headers)
        assert answer.status == status, what
        assert answer.told["error"], what
    for name in ("localhost", "127.0.0.1.evil.example", "evil.example"):
        headers = {"Host": f"{name}:{client.port}"}
        assert client.ask("GET", "/api/state", **headers).status == (200 if name == "localhost" else 421)
    assert client.press(Host=None).status == 400
    assert source.sent == []
    assert client.press().status == 200
    assert len(source.sent) == 1


def test_a_program_that_knows_the_token_needs_no_origin(client: Client, source: Simulated) -> None:
    """Browsers send one with every POST, so a request without any is no page's."""
    answer = client.press(Origin=None, Sec_Fetch_Site=None)
    assert (answer.status, answer.told["obeyed"]) == (200, True)
    assert len(source.sent) == 1


def test_other_ways_to_ask_change_nothing(client: Client, source: Simulated) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS"):
        assert client.ask(method, "/api/control?action=halt&book=main&by=ann", **headers).status in (404, 405)
    for raw in (
        b"",
        b"{}",
        b"[]",
        b'{"action":"halt"}',
        b'{"action":"halt","book":"main","by":"ann","x":1}',
        b"\xff",
    ):
        assert client.press(raw=raw).status == 400
    assert client.press(raw=b" " * 20_000).status == 413
    assert client.press("swap").told["error"].startswith("action is 'swap': give one of halt,")
    assert source.sent == []


def test_everything_that_is_answered_may_not_be_framed_nor_run_what_is_not_ours(client: Client) -> None:
    paths = ["/", "/healthz", "/api/state", "/api/words", "/nothing", *(f"/{name}" for name in FILES)]
    for path in paths:
        answer = client.ask("GET", path)
        assert answer.status == (404 if path == "/nothing" else 200), path
        for name, value in HEADERS.items():
            assert answer.headers[name] == value, (path, name)
    refused = client.ask("GET", "/", Host="evil.example")
    assert refused.headers["X-Frame-Options"] == "DENY"


def test_only_the_files_of_the_page_are_served(client: Client) -> None:
    for path in ("/../server.py", "/%2e%2e/server.py", "/vendor/", "/vendor/../../server.py", "//etc/passwd"):
        assert client.ask("GET", path).status == 404, path
    assert client.ask("GET", "/healthz").body == b"ok\n"


def test_a_page_of_another_site_may_lead_here_and_may_not_read_or_frame(client: Client) -> None:
    def of(site: str, dest: str, path: str) -> int:
        return client.ask("GET", path, Sec_Fetch_Site=site, Sec_Fetch_Dest=dest).status

    assert of("cross-site", "document", "/") == 200
    assert of("cross-site", "iframe", "/") == 403
    assert of("cross-site", "script", "/cockpit.js") == 403
    assert of("same-site", "empty", "/api/state") == 403
    assert of("cross-site", "websocket", "/ws") == 403
    assert client.ask("GET", "/ws", Origin="http://127.0.0.1:1").status == 403


def test_wrong_tokens_are_slowed_and_the_right_one_never_is(client: Client) -> None:
    wrong = {"Authorization": "Bearer not-this-one"}
    assert [client.press(**wrong).status for _ in range(5)] == [401] * 5
    began = time.monotonic()
    answer = client.press(**wrong)
    assert (answer.status, answer.headers["Retry-After"]) == (429, "60")
    assert time.monotonic() - began >= 1.0
    assert client.press().status == 200


def test_from_other_machines_nothing_is_read_without_the_token(source: Simulated) -> None:
    with Running(source, host="0.0.0.0") as running:  # noqa: S104
        client = Client(running, "10.1.2.3")
        token = {"Authorization": f"Bearer {TOKEN}"}
        assert client.ask("GET", "/").status == 200
        for path in ("/api/state", "/api/words", "/api/history?book=main"):
            assert client.ask("GET", path).status == 401
            assert client.ask("GET", path, **token).status == 200
        assert client.ask("GET", "/api/state", Host=f"evil.example:{client.port}", **token).status == 421


class TestTheToken:
    def test_it_is_made_where_none_is_given(self) -> None:
        (one, made), (other, _) = token_of({}), token_of({})
        assert made
        assert one != other
        assert len(one) >= 32

    def test_it_comes_from_the_environment_or_a_file(self, tmp_path: Path) -> None:
        file = tmp_path / "token"
        file.write_text(f"{TOKEN}\n")
        assert (
            token_of({"WINDVANE_TOKEN": TOKEN})
            == token_of({"WINDVANE_TOKEN_FILE": str(file)})
            == (TOKEN, False)
        )

    @pytest.mark.parametrize(
        ("environ", "said"),
        [
            ({"WINDVANE_TOKEN": "short"}, "fewer than 16 characters"),
            ({"WINDVANE_TOKEN": "with a space in the middle"}, "that no header takes"),
            ({"WINDVANE_TOKEN": "é" * 20}, "that no header takes"),
            ({"WINDVANE_TOKEN": TOKEN, "WINDVANE_TOKEN_FILE": "x"}, "are both set: keep one"),
            ({"WINDVANE_TOKEN_FILE": "/nowhere/token"}, "cannot be read as text"),
            ({"WINDVANE_TOKEN_FILE": "/dev/null"}, "the file is empty"),
        ],
    )
    def test_what_is_none_is_refused_in_a_sentence(self, environ: dict[str, str], said: str) -> None:
        with pytest.raises(CockpitError, match=said):
            token_of(environ)

    def test_which_addresses_are_of_this_machine_alone(self) -> None:
        assert all(map(is_loopback, ("127.0.0.1", "127.0.0.2", "::1", "localhost")))
        assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "example.org", "")))  # noqa: S104
