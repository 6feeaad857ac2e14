"""Every metric as data: name, kind, labels and help. Names and labels stay the same from release to release.

A label has few values: a stage, a partition, a topic, a book, an agent, a gate. It never is a sequence number, an id or
a sentence, since Prometheus keeps a series for every value.
"""

from typing import NamedTuple

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"

FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Buckets, in seconds, of a histogram of work that takes milliseconds."""

LATENCY = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.09, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Buckets, in seconds, of the histogram of the time from a tick to its order."""


class Metric(NamedTuple):
    """The description of one metric: kind, help text, labels after the label `stage`, buckets of a histogram."""

    kind: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


METRICS: dict[str, Metric] = {
    "windvane_records_received_total": Metric(COUNTER, "Records read.", ("topic", "partition")),
    "windvane_records_sent_total": Metric(COUNTER, "Records written and acknowledged.", ("topic",)),
    "windvane_step_seconds": Metric(HISTOGRAM, "Time of one step of a stage.", ("partition",), FAST),
    "windvane_commit_seconds": Metric(
        HISTOGRAM, "Time of one transaction, or of its acknowledgements.", ("partition",), FAST
    ),
    "windvane_recoveries_total": Metric(COUNTER, "Times a partition was taken over.", ("partition",)),
    "windvane_recovery_seconds": Metric(
        GAUGE, "Time that the last recovery of a partition took.", ("partition",)
    ),
    "windvane_restarts_total": Metric(
        COUNTER, "Times the work on a partition was begun anew.", ("partition", "reason")
    ),
    "windvane_lag_records": Metric(GAUGE, "Records not read yet.", ("topic", "partition")),
    "windvane_waiting_seconds": Metric(
        GAUGE, "How long a stage has waited for a source, above 10 s.", ("partition", "book", "topic")
    ),
    "windvane_rounds_late_total": Metric(COUNTER, "Rounds decided without all agents.", ("book",)),
    "windvane_agent_late_total": Metric(COUNTER, "Rounds decided without an agent.", ("book", "agent")),
    "windvane_agent_benched_total": Metric(
        COUNTER, "Rows decided without an agent whose answer could not be used.", ("book", "agent")
    ),
    "windvane_snapshots_total": Metric(COUNTER, "States stored.", ("partition",)),
    "windvane_snapshot_seconds": Metric(GAUGE, "Time that storing the last state took.", ("partition",)),
    "windvane_snapshot_bytes": Metric(GAUGE, "Size of the last state stored.", ("partition",)),
    "windvane_unstored_seconds": Metric(
        GAUGE, "How long the state of a partition could not be stored; 0: it is.", ("partition",)
    ),
    "windvane_trouble": Metric(
        GAUGE, "Books with which something is wrong, 1 where it is the partition.", ("partition", "code")
    ),
    "windvane_rows_total": Metric(COUNTER, "Rows written.", ("book",)),
    "windvane_last_seq": Metric(GAUGE, "Sequence number of the last row written.", ("book",)),
    "windvane_last_event_seconds": Metric(GAUGE, "Event time of the last row written, UNIX s.", ("book",)),
    "windvane_last_output_seconds": Metric(GAUGE, "When the last row was written, UNIX s.", ("book",)),
    "windvane_books_closed_total": Metric(COUNTER, "Books that were closed.", ("book",)),
    "windvane_flagged_rows_total": Metric(
        COUNTER, "Rows without a price of their own: heartbeat, bad or gap.", ("book", "flag")
    ),
    "windvane_regime": Metric(GAUGE, "Posterior of every regime at the last row.", ("book", "regime")),
    "windvane_agent_weight": Metric(GAUGE, "Weight of every agent at the last row.", ("book", "agent")),
    "windvane_member_weight": Metric(
        GAUGE, "Weight of every member of the mixture at the last row.", ("book", "member")
    ),
    "windvane_risk_state": Metric(GAUGE, "0 active, 1 reduce-only, 2 halted.", ("book",)),
    "windvane_equity": Metric(GAUGE, "Equity at the last row, currency.", ("book",)),
    "windvane_position": Metric(GAUGE, "Position at the last row, units of capital.", ("book",)),
    "windvane_wanted": Metric(GAUGE, "Target before risk, units of capital.", ("book",)),
    "windvane_target": Metric(GAUGE, "Target after risk, units of capital.", ("book",)),
    "windvane_drawdown_ratio": Metric(
        GAUGE, "Fall from the highest equity since this worker started, share of that.", ("book",)
    ),
    "windvane_max_drawdown_ratio": Metric(
        GAUGE,
        "Largest fall since the book was opened, at the last end of a day, units of capital.",
        ("book",),
    ),
    "windvane_verdicts_total": Metric(COUNTER, "Rows at which a risk gate acted.", ("book", "gate")),
    "windvane_orders_total": Metric(COUNTER, "Orders sent.", ("book",)),
    "windvane_order_latency_seconds": Metric(
        HISTOGRAM, "From the event time of a tick to its order; history is left out.", ("book",), LATENCY
    ),
    "windvane_fills_total": Metric(COUNTER, "Fills, without those of quantity 0.", ("book",)),
    "windvane_fees_total": Metric(COUNTER, "Fees paid, currency.", ("book",)),
    "windvane_retrainings_total": Metric(COUNTER, "Learner versions published.", ("book", "outcome")),
    "windvane_learner_version": Metric(GAUGE, "Version of the learner in use.", ("book",)),
    "windvane_dead_letters_total": Metric(COUNTER, "Records and rows rejected.", ("reason",)),
    "windvane_build_info": Metric(GAUGE, "Always 1; the version that runs.", ("version",)),
}

_REASONS: tuple[tuple[str, str], ...] = (
    ("not an event", "not_an_event"),
    ("not packed", "not_an_event"),
    ("bytes: cut it", "too_large"),
    ("does not belong on", "wrong_topic"),
    ("belongs on another partition", "wrong_partition"),
    ("is not signed", "unsigned"),
    ("unknown control", "unknown_control"),
    ("is not applied", "control_not_applied"),
    ("changes nothing", "control_not_applied"),
    ("no weights to roll back", "control_not_applied"),
    ("no book of that name is open", "control_waits"),
    ("which is not there", "control_waits"),
    ("never opened", "never_opened"),
    ("no longer on its topic", "opening_lost"),
    ("had been given up", "late_row"),
    ("another time or price", "feed_restarted"),
    ("a name is used once", "name_used_again"),
    ("more than a factor of 2", "off_level"),
    ("on another level", "off_level"),
    ("time is too far ahead", "bad_row"),
    ("time goes back", "bad_row"),
    ("with other settings", "other_settings"),
    ("the digest of book", "other_settings"),
    ("it cannot end with", "out_of_range"),
    ("too far ahead", "out_of_range"),
    ("has no agent", "unknown_agent"),
    ("it is benched", "agent_benched"),
    ("is not a positive number", "bad_row"),
    ("column", "bad_columns"),
    ("seq must grow", "bad_columns"),
    ("a batch needs", "bad_columns"),
)


def reason_class(reason: str) -> str:
    """Return the class of a dead letter's reason, one of REASON_CLASSES, for use as a label."""
    return next((short for part, short in _REASONS if part in reason), "other")


REASON_CLASSES = (*dict.fromkeys(short for _, short in _REASONS), "other")


def restart_class(reason: str) -> str:
    """Return the class of a restart's reason, for use as a label: "fenced", the name of an error class, or "other".

    A worker is fenced where another one has taken its partition over.
    """
    if "another worker" in reason:
        return "fenced"
    if reason.startswith("book stopped"):
        return "stopped"
    name = reason.partition(":")[0]
    return name if name.isidentifier() and len(name) <= 40 else "other"
