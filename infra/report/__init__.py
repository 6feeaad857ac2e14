"""Turns the events of a run into the files that people read: a table, JSON lines, metrics and a report page."""

from windvane.infra.report.facts import Facts
from windvane.infra.report.writer import write_outputs

__all__ = ["Facts", "write_outputs"]
