"""What Prometheus and Grafana ask for is what a worker exposes, and every alert says what to do."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from windvane.infra.telemetry.metrics import WorkerMetrics
from windvane.infra.telemetry.names import HISTOGRAM, METRICS
from windvane.streams.topology import TOPOLOGY
from windvane.streams.troubles import CODES

DEPLOY = Path(__file__).resolve().parents[3] / "infra" / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana/dashboards/windvane.json").read_text())
ALERTS = yaml.safe_load((DEPLOY / "alerts.yml").read_text())

_NOT_OURS = {"up", "process_start_time_seconds", "process_resident_memory_bytes", "ALERTS"}
_WORDS = re.compile(
    r"sum|max|min|count|rate|increase|changes|deriv|absent|time|histogram_quantile|label_values|and|or|unless|book"
)


def rules() -> list[dict[str, Any]]:
    return [rule for group in ALERTS["groups"] for rule in group["rules"]]


def expressions() -> Iterator[tuple[str, str]]:
    """(where, PromQL) of every alert, panel and variable."""
    for rule in rules():
        yield rule["alert"], rule["expr"]
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    for variable in DASHBOARD["templating"]["list"]:
        yield variable["name"], variable["query"]["query"]
    for annotation in DASHBOARD["annotations"]["list"]:
        if "expr" in annotation:
            yield annotation["name"], annotation["expr"]


def metrics_in(expression: str) -> dict[str, set[str]]:
    """Metric -> labels it is selected, grouped or joined by."""
    text = re.sub(r'"[^"]*"', '""', expression)
    grouped = {
        w for g in re.findall(r"\b(?:by|on|without)\s*\(([^)]*)\)", text) for w in re.findall(r"\w+", g)
    }
    text = re.sub(r"\b(?:by|on|without)\s*\([^)]*\)", "", text)
    found: dict[str, set[str]] = {}
    for name, selector in re.findall(
        r"(?<![\w$])([a-zA-Z_:]\w*)\s*(\{[^}]*\})?", re.sub(r"\[[^\]]*\]", "", text)
    ):
        if _WORDS.fullmatch(name):
            continue
        found.setdefault(name, set()).update(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector), grouped)
    return found


def series() -> dict[str, set[str]]:
    """Every series that a worker exposes, and its labels."""
    out: dict[str, set[str]] = {}
    for name, metric in METRICS.items():
        labels = {"stage", *metric.labels}
        names = [f"{name}_{s}" for s in ("bucket", "count", "sum")] if metric.kind == HISTOGRAM else [name]
        for one in names:
            out[one] = labels | ({"le"} if one.endswith("_bucket") else set())
    return out


class TestExpressions:
    def test_the_series_are_those_of_the_registry(self) -> None:
        registry = CollectorRegistry()
        WorkerMetrics("features", registry)
        names = {
            f"{family.name}_total" if family.type == "counter" else family.name
            for family in registry.collect()
        }
        assert names == set(METRICS)

    @pytest.mark.parametrize(("where", "expression"), list(expressions()))
    def test_what_is_asked_for_is_exposed_with_these_labels(self, where: str, expression: str) -> None:
        there = series()
        asked = metrics_in(expression)
        assert asked, where
        for name, labels in asked.items():
            if name in _NOT_OURS:
                continue
            assert name in there, f"{where} asks for {name}"
            own = there[name] | {"job", "instance", "worker"}
            assert labels <= own, f"{where} asks {name} for {labels - own}"

    def test_the_page_shows_all_that_it_must(self) -> None:
        shown = {name for _, e in expressions() for name in metrics_in(e)}
        for part in (
            "lag_records", "rows_total", "order_latency_seconds_bucket", "regime", "agent_weight", "equity",
            "verdicts_total", "dead_letters_total", "restarts_total", "learner_version", "risk_state",
        ):  # fmt: skip
            assert f"windvane_{part}" in shown
        ids = [panel["id"] for panel in DASHBOARD["panels"]]
        assert len(ids) == len(set(ids))


class TestAlerts:
    def test_alerts_say_what_to_do(self) -> None:
        names = [rule["alert"] for rule in rules()]
        assert len(names) == len(set(names))
        needed = (
            "LagGrowing TicksSilent DecisionsSilent DeadLetters Drawdown Halted Restarts Waiting RoundsLate"
        )
        assert set(needed.split()) <= set(names)
        asked = " ".join(rule["expr"] for rule in rules())
        elsewhere = {"waiting": "windvane_waiting_seconds", "not_stored": "windvane_unstored_seconds"}
        assert all(elsewhere.get(code, code) in asked for code in CODES)
        assert {f"{stage.name.title()}WorkerDown" for stage in TOPOLOGY} <= set(names)
        for rule in rules():
            assert rule["labels"]["severity"] in ("page", "look")
            assert rule["annotations"]["summary"]
            assert rule["annotations"]["action"]
