"""A policy on disk in a live session: it trades, the session goes on with it, and a replay needs no folder."""

from pathlib import Path

import numpy as np
from cli_harness import windvane
from live_session import events, run

from some_policy import form, layers
from windvane.agents.roster import roster
from windvane.infra.policies.folder import write_policy
from windvane.infra.runs import journal
from windvane.streams.events import BookOpened, Proposals


def test_a_policy_trades_live_and_goes_on(tmp_path: Path) -> None:
    write_policy(tmp_path / "mine", layers((51, 16, 8, 3), 0, 0), form())
    agents, out = roster(["ema_momentum", f"mine={tmp_path / 'mine'}"]), tmp_path / "out"
    run(out, 650, config=agents.recorded(), bindings=agents.bindings)
    (opened,) = events(out, BookOpened)
    assert opened.config.kinds == ("ema_momentum", "policy")
    said = [event for event in events(out, Proposals) if "mine" in event.agents]
    targets = np.concatenate([event.target[:, event.agents.index("mine")] for event in said])
    assert len(targets) >= 650
    assert set(targets) > {0.0}
    assert str(tmp_path / "mine").encode() not in (out / "journal" / journal.FILE).read_bytes()
    ran = windvane("replay", out, "--as-recorded", "--out", tmp_path / "again")
    assert ran.code == 0, ran.err
    assert "mine (policy, version 1-" in ran.err
