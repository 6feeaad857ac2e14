"""The installed package, away from its sources: without extras, then on a broker as the user of the image."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from broker import ROOT
from installed import USER, Installed, add, install

from windvane.infra.commands.doctor import _EXTRAS
from windvane.infra.kafka.settings import KafkaSettings

WARM_UP = re.search(
    r"RUN WINDVANE_CACHE=\S+ /opt/windvane/bin/(\S+ -m \S+)", (ROOT / "infra/deploy/Dockerfile").read_text()
)
RIGHT = (  # in this order
    (WARM_UP[1] if WARM_UP else "no warm-up in the Dockerfile"),
    "windvane doctor",
    "windvane simulate --ticks 2000 --seed 7 --out market.parquet",
    "windvane backtest market.parquet --book bars --retraining off --out run",
    "python -c 'import windvane.testing as t; assert t.run_integration_tests()'",
)
KAFKA = (
    "windvane replay market.parquet --book bars",
    "windvane replay --as-recorded --book bars",
    "windvane topics check",
    "windvane up",
    "windvane worker features",
    "windvane orders",
    "windvane status",
    "windvane control halt --book bars",
    "windvane journal --out here",
    "windvane schemas --out schemas",
)


@pytest.fixture(scope="session")
def core(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """The wheel and what it requires; the folder is for anybody to enter, since the image's user must."""
    base = Path(tempfile.mkdtemp(prefix="windvane-"))
    base.chmod(0o755)
    (base / "work").mkdir()
    yield install(base, base / "work")
    shutil.rmtree(base)


@pytest.fixture(scope="session")
def alone(core: Installed) -> dict[str, subprocess.CompletedProcess[str]]:
    """Every command with core requirements alone, before anything else is installed."""
    return {
        line: core.run(*shlex.split(line)) for line in (*RIGHT, *KAFKA, "windvane train regime --out here")
    }


@pytest.fixture(scope="session")
def with_kafka(core: Installed, alone: object) -> Installed:
    add(core, "kafka")
    return core


@pytest.mark.xdist_group("kafka")
class TestWithoutExtras:
    @pytest.mark.parametrize("line", RIGHT)
    def test_core_requirements_are_enough(
        self, line: str, alone: dict[str, subprocess.CompletedProcess[str]]
    ) -> None:
        ran = alone[line]
        assert ran.returncode == 0, ran.stderr
        assert "Traceback" not in ran.stderr

    @pytest.mark.parametrize("line", [*KAFKA, "windvane train regime --out here"])
    def test_what_needs_an_extra_says_which(
        self, line: str, alone: dict[str, subprocess.CompletedProcess[str]]
    ) -> None:
        ran, extra = alone[line], "train" if " train " in line else "kafka"
        assert (ran.returncode, ran.stdout) == (2, ""), ran
        (said,) = ran.stderr.splitlines()
        assert f"windvane[{extra}]" in said

    def test_nothing_else_is_there(self, core: Installed, alone: object) -> None:
        told = core.run("windvane", "doctor").stderr
        for names, _ in _EXTRAS.values():
            assert f"missing {', '.join(names)}:" in told
        assert f"({core.work / 'kernels'}/kernels-" in told
        assert f"none yet in {core.work / '.local/state/windvane/stages'}\n" in told

    def test_its_sources_are_its_own(self, core: Installed) -> None:
        told = core.run("python", "-c", "import windvane.metamodel.members as m; print(m.__file__)").stdout
        assert told.startswith(str(core.venv))


def test_all_stages_run_in_the_faust_binding_as_the_user_of_the_image(
    with_kafka: Installed, topics: KafkaSettings
) -> None:
    """By the user's default folder, in a folder that he may not write, from a home of his own."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root can become another user, by setpriv of util-linux")
    here = with_kafka
    home = Path(tempfile.mkdtemp(prefix="windvane-home-"))
    shutil.copytree(here.work / "kernels", home / "kernels")
    for path in (home, *home.rglob("*")):
        os.chown(path, USER, USER)
    more = {
        "HOME": str(home),
        "WINDVANE_CACHE": str(home / "kernels"),
        "WINDVANE_KAFKA_BOOTSTRAP": topics.bootstrap,
        "WINDVANE_KAFKA_PREFIX": topics.prefix,
        "WINDVANE_LOGS": "json",
    }
    # Whoever runs the tests may have installed Python in a folder of his own: reading is allowed, writing is not.
    reads = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]
    become = ["setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups", *reads]
    log = (home / "log").open("wb")
    up = subprocess.Popen(
        [*become, here.script, "up", "--binding", "faust"],
        cwd="/",
        env=here.environment | more,
        stdout=log,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
    )
    try:
        sent = here.run(
            "windvane",
            "replay",
            "run",
            "--prefix",
            topics.prefix,
            "--book",
            "bars",
            "--lockstep",
            "--wait",
            more=more,
            seconds=120,
        )
        assert sent.returncode == 0, sent.stderr + (home / "log").read_text()
        orders = here.run("windvane", "orders", "--json", more=more)
        assert orders.stdout == (here.work / "run" / "orders.jsonl").read_text()
        assert orders.stdout
    finally:
        up.send_signal(signal.SIGTERM)
        assert up.wait(30) == 0, (home / "log").read_text()
        log.close()
    said = (home / "log").read_text()
    assert said.count("stage started") == 4, "a stage was started again"
    assert "Traceback" not in said
    kept = {
        path.parent.name.partition(".")[0] for path in home.glob(".local/state/windvane/stages/*/*/*/*.wvs")
    }
    assert kept == {"features", "proposals", "feedback", "ensemble"}
    assert {path.stat().st_uid for path in home.rglob("*.wvs")} == {USER}
    shutil.rmtree(home)
