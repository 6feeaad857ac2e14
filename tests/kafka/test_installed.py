"""The installed package, away from its sources: without extras, then on a broker as the user of the image."""

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest
from installed import KAFKA, RIGHT, TRAIN, USER, Installed

from windvane.infra.cli.doctor import _EXTRAS
from windvane.infra.kafka.broker.settings import KafkaSettings
from windvane.infra.kafka.worker.faust_app import build
from windvane.infra.kafka.worker.plan import plan_of
from windvane.infra.telemetry.metrics import WorkerMetrics


class TestWithoutExtras:
    @pytest.mark.parametrize("line", RIGHT)
    def test_core_requirements_are_enough(
        self, line: str, alone: dict[str, subprocess.CompletedProcess[str]]
    ) -> None:
        ran = alone[line]
        assert ran.returncode == 0, ran.stderr
        assert "Traceback" not in ran.stderr

    @pytest.mark.parametrize("line", KAFKA + TRAIN)
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
        told = core.run(
            "python", "-c", "import windvane.metamodel.learning.members as m; print(m.__file__)"
        ).stdout
        assert told.startswith(str(core.venv))


def test_the_faust_binding_makes_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs it may be able to write nowhere; run by root once, it would have made it for all."""

    def refused(path: Path, *args: object, **options: object) -> None:
        pytest.fail(f"it makes {path}")

    plan = plan_of("features", KafkaSettings(), 1, tmp_path)
    app = build(plan, WorkerMetrics("features"), web_host="127.0.0.1", web_port=None, instance=None)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "mkdir", refused)
        asyncio.run(app.on_first_start())


@pytest.mark.slow
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
