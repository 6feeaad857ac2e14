"""Sections of the report page about where its figures come from: regimes, data quality, learner, settings."""

from html import escape
from typing import Any

import msgspec

from windvane.infra.report.facts import Facts
from windvane.infra.report.pieces import NONE, bars, interval, many, number, percent, table
from windvane.infra.report.tally import Tally
from windvane.metamodel.base.regimes import REGIMES

VERSIONS = 12
"""At most so many learner versions, and controls, are listed one by one: the last ones."""


def regimes(values: dict[str, Any], tally: Tally) -> str:
    """Return the section on regimes as HTML: which ones the classifier showed, and its scores on simulated data.

    values: what metrics.json holds.
    """
    scores = values["regime"]
    shown = {REGIMES[k]: n for k, n in enumerate(tally.regimes.shown.tolist()) if n}
    shown = dict(sorted(shown.items(), key=lambda item: -item[1]))
    if scores is None:
        verdict = (
            "The classifier was trained on simulated markets. Nobody knows the true regimes of these data, so "
            "nothing says how right it is here."
        )
    else:
        verdict = (
            f"Against the true regimes of the simulator: accuracy {percent(scores['accuracy'])}, macro-F1 "
            f"{number(scores['macro_f1'])}, right {number(scores['median_delay'], 0)} rows after a switch (median), "
            f"{number(scores['switches_per_1000'], 1)} changes of the label in 1,000 rows."
        )
    return (
        "<h2>The market's regime</h2><p class=note>Probability of every regime, mean between two points. "
        f'{verdict}</p><div class=chart id=regimes style="height:300px"></div>'
        + bars(("Label shown", "Rows", "Share"), shown, int(tally.regimes.shown.sum()))
    )


def data(values: dict[str, Any], tally: Tally) -> str:
    """Return the section on data quality as HTML: rows by kind, rows rejected by reason, pauses and notes.

    values: what metrics.json holds.
    """
    rows, rejected = values["rows"], values["rejected_by_reason"]
    kinds = (
        ("Good", tally.good),
        ("Warming up", rows["warming_up"]),
        ("Heartbeat", rows["heartbeat"]),
        ("Bad", rows["bad"]),
        ("Gap", rows["gap"]),
        ("An agent benched", rows["benched"]),
    )
    left = table(("Rows", ""), [(name, f"{count:,}") for name, count in kinds])
    if rejected:
        right = bars(("Rejected", "Rows", "Share"), rejected, tally.good + values["rejected"])
    else:
        right = "<p class=note>No row was rejected.</p>"
    notes = "".join(f"<li>{escape(note)}</li>" for note in values["notes"])
    holes = (
        f"{many(rows['holes'], 'pause')} longer than {interval(tally.config.stale_after)}; "
        f"the longest lasted {interval(tally.longest)}."
    )
    return (
        f"<h2>Data quality</h2><p class=note>{holes}</p>"
        f"<div class=two><div>{left}</div><div>{right}</div></div>"
        + (f"<h3>Notes</h3><ul>{notes}</ul>" if notes else "")
    )


def learner(tally: Tally) -> str:
    """Return the section with the last versions of the learner and the last controls by people, as HTML."""
    total = tally.outcomes.total()
    out = "<h2>Learner and controls</h2>"
    if total == 0:
        out += "<p class=note>The learner was never retrained.</p>"
    else:
        counts = ", ".join(f"{count:,} {escape(name)}" for name, count in sorted(tally.outcomes.items()))
        recent = list(reversed(tally.versions[-VERSIONS:]))
        best = [max(zip(u.scores, u.agents, strict=True), default=(0.0, NONE))[1] for u in recent]
        out += f"<p class=note>{many(total, 'version')}: {counts}. The last {len(recent)}:</p>" + table(
            ("Version", "Trained at row", "In effect from row", "Samples", "Outcome", "Highest mean score"),
            [
                (
                    f"{u.version:,}",
                    f"{u.trained_at:,}",
                    f"{u.effective_from:,}",
                    f"{u.samples:,}",
                    *map(escape, (u.outcome, b)),
                )
                for u, b in zip(recent, best, strict=True)
            ],
        )
    if tally.controls:
        out += "<h3>Controls</h3>" + table(
            ("Number", "Action", "In effect from row", "Reason"),
            [
                (str(c.number), escape(c.action), f"{c.effective_from:,}", escape(c.reason) or NONE)
                for c in tally.controls[-VERSIONS:]
            ],
            narrow=True,
        )
    return out


def settings(facts: Facts) -> str:
    """Return the section with the whole trading config, folded away, and the page's footer, as HTML."""
    text = escape(msgspec.json.format(msgspec.json.encode(facts.config)).decode())
    return (
        f"<h2>Settings</h2><details><summary>The whole trading config</summary><pre>{text}</pre></details>"
        f"<footer>{escape(facts.title)}. Past figures say nothing certain about later ones.</footer>"
    )
