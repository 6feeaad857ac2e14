"""How the state of a book of the ensemble stage that an older release stored becomes one of this release."""

import msgspec
import numpy as np

from windvane.metamodel.base.upgrading import Saved, as_new
from windvane.streams.control_log import ControlLog
from windvane.streams.events import Control


def upcast_v1_v2(saved: Saved, fresh: Saved) -> Saved:
    """0.2.0 knows whether the price is away from what accounts believe, and which controls it has heard of."""
    log = ControlLog()
    for control in saved["controls"]:
        log.hear(msgspec.convert(control, Control))
    return saved | {"clock.away": np.zeros(2, np.int64), "lacking": fresh["lacking"]} | log.save()


_CLOCK_V2 = {
    "n": ("day", "day_rows", "seq", "ts", "good_rows", "good_ts", "streak", "warm_rows"),
    "f": ("mid", "spacing", "wanted", "target"),
    "away": ("level", "rows_away"),
}


def upcast_v2_v3(saved: Saved, fresh: Saved) -> Saved:
    """0.3.0 stores every number of the clock under its own name, some arrays under others, and what people see."""
    clock = {
        f"clock.{field}": saved[f"clock.{array}"][place : place + 1].copy()
        for array, fields in _CLOCK_V2.items()
        for place, field in enumerate(fields)
    }
    renamed = {
        "aims": saved["clock.wanted"],
        "standing.restricted": saved["standing.cut"],
        "standing.flattening": saved["standing.flatten"],
        "standing.edge_mean": saved["standing.edge"][:, 0].copy(),
        "standing.edge_square": saved["standing.edge"][:, 1].copy(),
        "account.exposed": saved["account.exposure"],
        "pending": saved["account.pending"],
        "pending_seq": saved["account.pending_seq"],
        "sent": saved["standing.sent"],
    }
    return saved | clock | renamed | {"models": fresh["models"], "control_action": fresh["control_action"]}


def upcast_v4_v5(saved: Saved, fresh: Saved) -> Saved:
    """From here on a lockstep book, too, knows the last targets, which stand where an agent is benched."""
    return {"last": fresh["last"], **saved}


UPCASTS = (
    upcast_v1_v2,
    upcast_v2_v3,
    as_new("account.urgent", "clock.urgent_seq"),
    upcast_v4_v5,
    as_new("standing.trust", "standing.trusted"),
)
