"""Every command block of the documents is run here, in their order, by the installed script; or says what it needs.

`<!-- needs: WHAT -->` before a block says that it takes more than a broker. A line that ends with `&` goes on beside
what follows, as it does in a shell.
"""

import asyncio
import re
import signal
import subprocess
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from broker import ROOT
from installed import Installed

from windvane.infra.kafka.broker.settings import KafkaSettings
from windvane.infra.kafka.tools.books import known_books

PAGES = ("README.md", "docs/kafka.md", "docs/feeding.md", "docs/subscribers.md", "docs/operations.md")
OTHERS = {"python", "json", "javascript"}
MAY_WAKE = re.compile(r"windvane status")
"""Its exit code is 1 where something should wake a person, as a halted book does."""


LIVE = "windvane replay bars.csv --book live --retraining off --lockstep --speed 60x --records 1 &"


class Block(NamedTuple):
    """Lines of a block and the number of its first, and what it says that it needs."""

    page: str
    at: int
    lines: list[str]
    needs: str | None


def blocks(page: str, text: str) -> Iterator[Block]:
    """Every block of commands: fenced as no other language, or indented and not JSON."""
    lines, needs, place = text.splitlines(), None, 0
    while place < len(lines):
        line, at = lines[place], place + 1
        if fence := re.fullmatch(r"\s*```(\w*)", line):
            end = next(k for k in range(at, len(lines)) if lines[k].strip() == "```")
            if fence[1] not in OTHERS:
                yield Block(page, at + 1, lines[at:end], needs)
            place = end
        elif line.startswith("    ") and (place == 0 or not lines[place - 1].strip()):
            end = next((k for k in range(at, len(lines)) if not lines[k].startswith("    ")), len(lines))
            if not line.strip().startswith("{"):
                yield Block(page, at, [text[4:] for text in lines[place:end]], needs)
            place = end - 1
        if lines[place].strip():
            marked = re.fullmatch(r"<!-- needs: (.+) -->", lines[place].strip())
            needs = marked[1] if marked else None
        place += 1


BLOCKS = [block for page in PAGES for block in blocks(page, (ROOT / page).read_text(encoding="utf-8"))]


def test_blocks_are_found_in_every_form() -> None:
    text = "say\n\n    one &\n    two\n\n<!-- needs: luck -->\n\n```bash\nthree\n```\n\n"
    text += "```python\nx\n```\n\n    {}\n\n```\nfour\n```\n"
    assert [(b.at, b.lines, b.needs) for b in blocks("p", text)] == [
        (3, ["one &", "two"], None),
        (9, ["three"], "luck"),
        (19, ["four"], None),
    ]
    assert {block.page for block in BLOCKS} == set(PAGES)
    assert {block.needs for block in BLOCKS if block.needs} == {
        "a checkout",
        "an exchange",
        "three brokers",
        "a broker with an authorizer; tests/kafka/test_rights.py has one",
        "docker",
    }


class Shell:
    """Runs lines one after the other in a folder, with a broker and a prefix in place of those of the documents."""

    def __init__(self, here: Installed, folder: Path, settings: KafkaSettings) -> None:
        self._folder = folder
        self._settings = settings
        self._beside: list[tuple[str, subprocess.Popen[str]]] = []
        self._environment = here.environment | {
            "HOME": str(folder),
            "WINDVANE_CACHE": str(here.work / "kernels"),
            "WINDVANE_KAFKA_BOOTSTRAP": settings.bootstrap,
            "WINDVANE_KAFKA_PREFIX": settings.prefix,
        }

    def run(self, where: str, line: str) -> None:
        """Run a line; what it exports holds for those that follow."""
        line = line.replace("127.0.0.1:9092", self._settings.bootstrap)
        line = line.replace("--prefix windvane", f"--prefix {self._settings.prefix}")
        command = re.sub(r"\s#\s.*$", "", line).strip()
        if command.endswith("&"):
            with (self._folder / f"beside{len(self._beside)}.log").open("w") as log:
                process = self._start(f"exec {command[:-1]}", log)
            self._beside.append((f"{where}: {command}", process))
            self._until_open(command)
            return
        exported = re.match(r"export (\w+)=", command)
        if exported:
            command += f'; printf %s "${exported[1]}"'
        process = self._start(command, subprocess.PIPE)
        out, err = process.communicate(timeout=180)
        right = (0, 1) if MAY_WAKE.match(command) else (0,)
        assert process.returncode in right, f"{where}: {command}\n{out[-500:]}\n{err[-2000:]}\n{self._logs()}"
        if exported:
            self._environment[exported[1]] = out

    def _until_open(self, command: str) -> None:
        """A person types slower than a book that is sent beside takes to be there."""
        book = re.search(r" replay .*--book (\w+)", command)
        deadline = time.monotonic() + 60
        while book and book[1] not in asyncio.run(known_books(self._settings, 4)):
            assert time.monotonic() < deadline, f"{command}\n{self._logs()}"
            time.sleep(0.2)

    def close(self) -> None:
        """What still runs must still be well, and end when it is told to."""
        for said, process in self._beside:
            assert process.poll() in (None, 0), f"{said}\n{self._logs()}"
        for _, process in reversed(self._beside):
            process.send_signal(signal.SIGINT)
        for said, process in self._beside:
            assert process.wait(40) in (0, 130), f"{said}\n{self._logs()}"

    def kill(self) -> None:
        """Leave nothing running."""
        for _, process in self._beside:
            if process.poll() is None:
                process.terminate()
                process.wait(40)

    def _start(self, command: str, out: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["/bin/bash", "-c", command],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=out,  # type: ignore[call-overload]
            stderr=subprocess.PIPE if out == subprocess.PIPE else subprocess.STDOUT,
            text=True,
        )

    def _logs(self) -> str:
        return "\n".join(path.read_text()[-1500:] for path in sorted(self._folder.glob("beside*.log")))


def _files(folder: Path, here: Installed) -> None:
    """What the documents take for granted: a dump of Binance, bars, a checkpoint, and .venv."""
    rows, minute = 4000, 60_000
    rng = np.random.default_rng(5)
    close = np.round(40_000 * np.exp(np.cumsum(rng.normal(0, 5e-4, rows))), 2)
    opens = np.concatenate([close[:1], close[:-1]])
    starts = 1_704_067_200_000 + minute * np.arange(rows)
    lines = [
        f"{t},{o},{max(o, c)},{min(o, c)},{c},5.0,{t + minute - 1},1000.0,10,2.5,500.0,0"
        for t, o, c in zip(starts, opens, close, strict=True)
    ]
    with zipfile.ZipFile(folder / "BTCUSDT-1m-2024-01.zip", "w") as archive:
        archive.writestr("BTCUSDT-1m-2024-01.csv", "\n".join(lines))
    bars = [
        ",".join([str(t // 1000), *line.split(",")[1:6]])
        for t, line in zip(starts, lines[:1200], strict=False)
    ]
    (folder / "bars.csv").write_text("\n".join(["ts,open,high,low,close,volume", *bars]))
    (folder / ".venv").symlink_to(here.venv)
    code = (
        "import windvane as w; c = w.create_meta_learning_config('balanced', {'max_steps': 400}, "
        "{'performance_prediction_enabled': False, 'evaluation_markets': 2}); "
        f"w.MetaLearningEnsembleTrainer(c, 'mine', '{folder}/meta_learning_models').train_full_session(1)"
    )
    made = here.run("python", "-c", code)
    assert made.returncode == 0, made.stderr


def test_every_command_of_the_documents_works(
    with_kafka: Installed,
    settings: KafkaSettings,
    tmp_path: Path,
) -> None:
    _files(tmp_path, with_kafka)
    shell = Shell(with_kafka, tmp_path, settings)
    try:
        for block in BLOCKS:
            if block.needs is None:
                for number, line in enumerate(block.lines, block.at):
                    shell.run(f"{block.page}:{number}", line)
            if block.page == "README.md" and any("--book live" in line for line in block.lines):
                shell.run("a book named main", LIVE.replace("live", "main"))
        shell.close()
    finally:
        shell.kill()
