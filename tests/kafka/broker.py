"""A real broker on this machine, one node, in a folder of its own: started, killed, and started on the same data."""

import os
import signal
import socket
import subprocess
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_START_SECONDS = 60.0
_VOTERS = "controller.quorum."


class BrokerError(RuntimeError):
    """A broker that does not come up; the message ends with what it wrote last."""


def distribution() -> Path | None:
    """The Kafka distribution to use: KAFKA_HOME, or shared/kafka beside the repository."""
    named = os.environ.get("KAFKA_HOME")
    home = Path(named) if named else ROOT.parent / "shared" / "kafka"
    return home if (home / "bin" / "kafka-server-start.sh").is_file() else None


class Broker:
    """A broker of the distribution `home` with its data and log in `folder`.

    extra: lines of server.properties to set or replace. protocol: of the listener for clients, SASL_PLAINTEXT or so.
    """

    def __init__(
        self, home: Path, folder: Path, extra: Mapping[str, str] | None = None, protocol: str = "PLAINTEXT"
    ) -> None:
        self._home = home.resolve()
        self._folder = folder
        self._port, controller = _free_ports(2)
        self.bootstrap = f"127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None
        self._properties = {
            **_properties(self._home / "config" / "server.properties"),
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.listener.names": "CONTROLLER",
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": f"{protocol}://{self.bootstrap},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"{protocol}://{self.bootstrap}",
            "listener.security.protocol.map": f"CONTROLLER:PLAINTEXT,{protocol}:{protocol}",
            "inter.broker.listener.name": protocol,
            "log.dirs": str(folder / "data"),
            "auto.create.topics.enable": "false",
            **(extra or {}),
        }

    @property
    def pid(self) -> int:
        """Of the process that runs, for SIGSTOP and the like."""
        if self._process is None:
            raise BrokerError("the broker is not running: start it")
        return self._process.pid

    @property
    def log(self) -> Path:
        """What it wrote."""
        return self._folder / "broker.log"

    def start(self) -> None:
        """Start on the data that is there, and wait until it accepts clients. Raises BrokerError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        config = self._folder / "server.properties"
        config.write_text("".join(f"{k}={v}\n" for k, v in self._properties.items()))
        if not (self._folder / "data" / "meta.properties").exists():
            made = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "x")
            self._run("kafka-storage.sh", "format", "-t", made, "-c", str(config))
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._home / "bin" / "kafka-server-start.sh", config],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=self._environment(),
                cwd=self._folder,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise BrokerError(f"no broker at {self.bootstrap}: {self._last_lines()}")
            time.sleep(0.1)

    def kill(self) -> None:
        """SIGKILL, as when the machine fails."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL where it takes longer than 20 s."""
        self._end(signal.SIGTERM)

    def tool(self, name: str, *words: str) -> str:
        """What a script of the distribution prints. Raises BrokerError where it fails."""
        return self._run(name, *words)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _answers(self) -> bool:
        """Whether ApiVersions gets its answer: the port alone opens before the broker is ready."""
        host, _, port = self.bootstrap.rpartition(":")
        ask = bytes.fromhex("0000000c 0012 0000 00000001 0002 7776".replace(" ", ""))
        try:
            with socket.create_connection((host, int(port)), timeout=1) as link:
                link.sendall(ask)
                return len(link.recv(4)) == 4
        except OSError:
            return False

    def _run(self, script: str, *words: str) -> str:
        done = subprocess.run(
            [self._home / "bin" / script, *words],
            capture_output=True,
            text=True,
            env=self._environment(),
            cwd=self._folder,
            timeout=120,
            check=False,
        )
        if done.returncode:
            raise BrokerError(f"{script} failed: {(done.stderr or done.stdout)[-2000:]}")
        return done.stdout

    def _environment(self) -> dict[str, str]:
        """Its JVM compiles in one tier: the second takes most of a small machine in the minutes that a test lasts."""
        return {
            "KAFKA_OPTS": "-XX:TieredStopAtLevel=1",
            **os.environ,
            "KAFKA_HEAP_OPTS": "-Xmx512m -Xms128m",
            "LOG_DIR": str(self._folder / "logs"),
        }

    def _last_lines(self) -> str:
        return self.log.read_text(errors="replace")[-2000:] if self.log.exists() else "it wrote nothing"


def _properties(path: Path) -> dict[str, str]:
    """The lines of the file, but not who votes: that is this one node."""
    lines = (line.strip() for line in path.read_text().splitlines())
    return dict(line.split("=", 1) for line in lines if line and not line.startswith(("#", _VOTERS)))


def _free_ports(number: int) -> list[int]:
    """Ports that nobody has now; all are held until the last is found, so that they differ."""
    held = [socket.socket() for _ in range(number)]
    try:
        for link in held:
            link.bind(("127.0.0.1", 0))
        return [link.getsockname()[1] for link in held]
    finally:
        for link in held:
            link.close()
