"""A live book with a class of one's own and a shadow: it goes on after a kill, and is replayed without the class."""

import json
from pathlib import Path

import guests
from simulated_book import config, opening, ticks
from windvane.agents.roster import roster
from windvane.infra.live.book import LiveBook
from windvane.infra.live.resuming import stopped
from windvane.infra.live.rows import Mark
from windvane.infra.live.saving import Saver
from windvane.infra.runs.compare import differences
from windvane.infra.runs.replay import replay
from windvane.streams.events import cut

ROWS, SAVED, KILLED = 700, 560, 640
AGENTS, SHADOW = roster(["vol_trend", "mine=guests:Drift"]), roster(["s=guests:Breakout"])
OPENED = opening(config(closing="timed", **AGENTS.recorded(), **SHADOW.shadowing()))


def traded(out: Path, rows: range) -> None:
    """Send rows, one at a time, to the book of a folder, from where it was left."""
    folder, saver = out / "journal", Saver()
    before = stopped(folder)
    book = LiveBook(folder, OPENED, saver, None, before, bindings={**AGENTS.bindings, **SHADOW.bindings})
    if before is None:
        saver.save(book.begin_save())
        info = {"finished": True, "file": "none", "kind": "simulated", "bars": "bars", "preset": "test"}
        (folder / "run.json").write_text(json.dumps({**info, "rejected": {}, "notes": [], "full": False}))
    whole = ticks(ROWS)
    for row in rows:
        book.rows([cut(whole, row, row + 1)], Mark(seq=row + 1))
        if row == SAVED:
            saver.save(book.begin_save())
    saver.close()
    if rows.stop == ROWS:
        book.close()
    book.abandon()


def test_it_goes_on_and_is_replayed(tmp_path: Path) -> None:
    traded(tmp_path / "whole", range(ROWS))
    traded(tmp_path / "cut", range(KILLED))
    traded(tmp_path / "cut", range(KILLED, ROWS))
    whole, cut_off = tmp_path / "whole" / "journal", tmp_path / "cut" / "journal"
    assert differences(whole, cut_off) is None
    guests.Drift.made.clear()
    for folder in (whole, cut_off):
        replay(folder, tmp_path / "again", as_recorded=True)
        assert differences(folder, tmp_path / "again" / "journal") is None
    assert not guests.Drift.made
