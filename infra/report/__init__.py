"""From the events of a run to the files people read: tables, JSON lines, metrics and one report page."""

from windvane.infra.report.facts import Facts
from windvane.infra.report.writer import write_outputs

__all__ = ["Facts", "write_outputs"]
