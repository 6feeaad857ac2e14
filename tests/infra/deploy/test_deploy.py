"""What the containers start: files that parse, commands that exist, few rights."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from windvane.agents.factory import AGENTS
from windvane.infra.cli.main import app
from windvane.infra.kafka.broker.settings import _VARIABLES, KafkaSettings
from windvane.streams.topology import TOPOLOGY

ROOT = Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "infra" / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
DASHBOARD = json.loads((DEPLOY / "grafana/dashboards/windvane.json").read_text())
PROMETHEUS = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("windvane")}


class TestMonitoring:
    def test_prometheus_reads_every_stage_and_the_alerts(self) -> None:
        assert PROMETHEUS["rule_files"] == ["alerts.yml"]
        (job,) = (c for c in PROMETHEUS["scrape_configs"] if c["job_name"] == "windvane")
        (found,) = job["dns_sd_configs"]
        assert set(found["names"]) == {stage.name for stage in TOPOLOGY}
        for name in found["names"]:
            command = SERVICES[name]["command"]
            assert command[command.index("--web-port") + 1] == str(found["port"])
            assert SERVICES[name]["expose"] == [str(found["port"])]

    def test_grafana_finds_its_source_and_its_page(self) -> None:
        (source,) = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yaml").read_text())[
            "datasources"
        ]
        (provider,) = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/windvane.yaml").read_text())[
            "providers"
        ]
        used = {panel["datasource"]["uid"] for panel in DASHBOARD["panels"] if panel["type"] != "row"}
        assert used == {source["uid"]}
        assert source["url"] == "http://prometheus:9090"
        mounts = dict(volume.split(":")[:2] for volume in SERVICES["grafana"]["volumes"])
        assert mounts["./grafana/dashboards"] == provider["options"]["path"]
        home = Path(SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
        assert (DEPLOY / "grafana/dashboards" / home.name).is_file()


def commands() -> Iterator[tuple[str, list[str]]]:
    """(where, words after windvane) of all that is started."""
    for name, service in OURS.items():
        assert service["command"][0] == "windvane"
        yield name, service["command"][1:]
    start = re.search(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    assert start is not None
    yield "Dockerfile", json.loads(start[1])[1:]
    for group in yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"]:
        for rule in group["rules"]:
            for said in re.findall(r"`windvane (.*?)`", rule["annotations"]["action"]):
                yield rule["alert"], re.sub(r"\{\{.*?\}\}", "book", said).split()


class TestServices:
    @pytest.mark.parametrize(("where", "words"), list(commands()))
    def test_every_command_is_one_that_we_have(self, where: str, words: list[str]) -> None:
        command: Any = typer.main.get_command(app)
        rest = list(words)
        while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
            assert rest[0] in command.commands, f"{where}: there is no {rest[0]}"
            command = command.commands[rest.pop(0)]
        if rest == ["--help"]:
            with pytest.raises(typer.Exit):
                command.make_context(where, rest)
        else:
            command.make_context(where, rest)  # parses what is given, and does nothing

    def test_a_command_that_we_do_not_have_would_be_found(self) -> None:
        group: Any = typer.main.get_command(app)
        with pytest.raises(Exception, match="--web-gate"):
            group.commands["worker"].make_context("worker", ["features", "--web-gate", "1"])

    def test_a_service_for_every_stage_and_all_rule_agents(self) -> None:
        started = [service["command"][2] for service in OURS.values() if service["command"][1] == "worker"]
        assert {stage.partition(":")[0] for stage in started} == {stage.name for stage in TOPOLOGY}
        (proposals,) = (stage for stage in started if stage.startswith("proposals:"))
        assert set(proposals.partition(":")[2].split(",")) == set(AGENTS)

    def test_containers_have_no_more_rights_than_they_need(self) -> None:
        for name, service in SERVICES.items():
            assert service["read_only"] is True, name
            assert service["cap_drop"] == ["ALL"], name
            assert service["security_opt"] == ["no-new-privileges:true"], name
            assert not {"privileged", "cap_add", "network_mode", "pid", "user"} & service.keys(), name
            assert not any("docker.sock" in volume for volume in service.get("volumes", ())), name
            for port in service.get("ports", ()):
                assert port.startswith("127.0.0.1:"), f"{name} publishes {port}"
        assert COMPOSE["networks"]["pipeline"]["internal"] is True
        user = re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE)
        assert user
        assert int(user[-1].partition(":")[0]) > 0

    def test_what_does_not_end_by_itself_is_started_again_and_watched(self) -> None:
        for name, service in SERVICES.items():
            if name in ("topics", "status"):
                assert service["healthcheck"] == {"disable": True}
                continue
            assert service["restart"] == "unless-stopped", name
            assert "healthcheck" in service or name in OURS, name
        assert "HEALTHCHECK" in DOCKERFILE
        assert ":6066/health" in DOCKERFILE

    def test_no_secret_is_written_down(self) -> None:
        settings = (
            set(_VARIABLES.values())
            | {f"{name}_FILE" for name in _VARIABLES.values()}
            | {"WINDVANE_LOG_LEVEL"}
        )
        example = dict(
            line.removeprefix("# ").split("=", 1)
            for line in (DEPLOY / "windvane.env.example").read_text().splitlines()
            if re.match(r"(# )?[A-Z_]+=", line)
        )
        assert set(example) <= settings
        for service in OURS.values():
            assert set(service["environment"]) <= settings
            given = {**example, **service["environment"]}
            assert not {"WINDVANE_KAFKA_PASSWORD", "WINDVANE_CONTROL_KEY"} & given.keys()
        for secret in COMPOSE["secrets"].values():
            assert secret["file"].startswith("./secrets/")
        ignored = (ROOT / ".gitignore").read_text().splitlines()
        assert {"/infra/deploy/secrets/", "/infra/deploy/windvane.env"} <= set(ignored)
        assert "infra/deploy" in (ROOT / ".dockerignore").read_text().splitlines()

    def test_the_settings_of_a_worker_are_valid(self, tmp_path: Path) -> None:
        (tmp_path / "control_key").write_text("0" * 64)
        for service in OURS.values():
            environ = {
                name: value.replace("/run/secrets", str(tmp_path))
                for name, value in service["environment"].items()
            }
            settings = KafkaSettings.load(environ=environ)
            assert settings.bootstrap == "kafka:9092"
            assert settings.control_key == "0" * 64


class TestImages:
    def test_images_are_pinned(self) -> None:
        version = re.search(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
        assert version is not None
        for name, service in SERVICES.items():
            tag = service["image"].rpartition(":")[2]
            assert re.fullmatch(r"v?\d+\.\d+\.\d+", tag), f"{name} runs {service['image']}"
            if name in OURS:
                assert tag == version[1]
        assert re.search(r"^ARG PYTHON=3\.\d+\.\d+-slim-\w+$", DOCKERFILE, re.MULTILINE)
        assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) == {"python:${PYTHON}"}

    def test_only_the_stage_that_retrains_has_torch(self) -> None:
        assert "ARG EXTRAS=kafka\n" in DOCKERFILE
        assert '".[${EXTRAS}]"' in DOCKERFILE
        trained = {name for name, service in SERVICES.items() if "train" in service.get("image", "")}
        assert trained == {"feedback"}
        assert SERVICES["feedback"]["build"]["args"] == {"EXTRAS": "kafka,train"}
        assert "--constraint constraints.txt" in DOCKERFILE
        text = (ROOT / "pyproject.toml").read_text()
        kafka = re.search(r"^kafka = \[(.*?)\]", text, re.MULTILINE | re.DOTALL)
        assert kafka is not None
        assert "torch" not in kafka[1]

    def test_the_image_is_made_of_files_that_are_there(self) -> None:
        for words in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE):
            *sources, _ = (word for word in words.split() if not word.startswith("--"))
            for source in sources:
                assert (ROOT / source).exists(), source
        let_in = {
            line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")
        }
        for source in (
            "pyproject.toml",
            "constraints.txt",
            "README.md",
            "agents",
            "metamodel",
            "streams",
            "infra",
            "src",
        ):
            assert source in let_in

    def test_the_entry_point_gives_kernels_a_place_to_be_written(self, tmp_path: Path) -> None:
        script = (DEPLOY / "entrypoint.sh").read_text().replace("/opt/windvane", str(tmp_path / "opt"))
        kernels = tmp_path / "opt" / "kernels" / "kernels-1"
        kernels.mkdir(parents=True)
        (kernels / "compiled").touch()
        os.utime(kernels / "compiled", (1_700_000_000, 1_700_000_000))
        (tmp_path / "entry.sh").write_text(script)
        cache = tmp_path / "cache"
        for _ in range(2):
            done = subprocess.run(
                ["/bin/sh", tmp_path / "entry.sh", "echo", "two words", "$HOME"],
                env={"WINDVANE_CACHE": str(cache), "PATH": os.environ["PATH"]},
                capture_output=True,
                text=True,
                check=True,
            )
            assert done.stdout == "two words $HOME\n"
            assert (cache / "kernels-1" / "compiled").stat().st_mtime == 1_700_000_000
        assert os.access(DEPLOY / "entrypoint.sh", os.X_OK)
