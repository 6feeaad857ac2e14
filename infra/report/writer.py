"""Writes the files of a run in one pass over its events."""

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import orjson

from windvane.infra.report.blocks import Blocks
from windvane.infra.report.facts import Facts
from windvane.infra.report.metrics import metrics
from windvane.infra.report.report import report
from windvane.infra.report.tables import DecisionsTable
from windvane.infra.report.tally import Tally
from windvane.streams import events as ev
from windvane.streams.records import each_fill, each_order


def write_outputs(events: Iterable[ev.Event], out: Path, facts: Facts) -> dict[str, Any]:
    """Write decisions.parquet, orders.jsonl, fills.jsonl, dead_letters.jsonl, metrics.json and report.html.

    events: those of one book in the order of its journal, batches of any size; they are read once, in memory
    that does not grow with the number of rows. out: a folder, created where it is missing; files of an earlier run are
    replaced. facts: what the events do not hold. Returns what metrics.json holds. Raises ValueError where the events
    are of more than one book.
    """
    out.mkdir(parents=True, exist_ok=True)
    tally = Tally(facts.config, facts.first_live)
    _stream(events, out, facts, tally)
    values = metrics(tally, facts)
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    (out / "metrics.json").write_bytes(orjson.dumps(values, option=options))
    (out / "report.html").write_text(report(values, tally, facts), encoding="utf-8")
    return values


def _stream(events: Iterable[ev.Event], out: Path, facts: Facts, tally: Tally) -> None:
    """Write the table and the three files of JSON lines, and count everything into `tally`."""
    symbol, encoder = facts.config.symbol, msgspec.json.Encoder()
    rounds: Blocks[ev.Decisions] = Blocks()
    orders: Blocks[ev.Orders] = Blocks()
    fills: Blocks[ev.Fills] = Blocks()
    with contextlib.ExitStack() as stack:
        names = ("orders.jsonl", "fills.jsonl", "dead_letters.jsonl")
        ordered, filled, dead = (stack.enter_context((out / name).open("wb")) for name in names)
        table: DecisionsTable | None = None
        filled_seq = -1

        def decide(block: ev.Decisions) -> None:
            nonlocal table
            if table is None:
                path = out / "decisions.parquet"
                timed, regimes = block.awake is not None, block.regime is not None
                table = stack.enter_context(
                    DecisionsTable(path, block.agents, facts.members, timed=timed, regimes=regimes)
                )
            tally.decisions(block)
            table.add(block, tally.regimes.label)

        def order(block: ev.Orders) -> None:
            tally.count_orders(block)
            ordered.write(encoder.encode_lines(list(each_order(block, symbol))))

        def fill(block: ev.Fills) -> None:
            nonlocal filled_seq
            tally.count_fills(block)
            filled.write(encoder.encode_lines(list(each_fill(block, symbol, filled_seq))))
            filled_seq = block.last

        book: str | None = None
        for event in events:
            book = book or event.book
            if event.book != book:
                raise ValueError(
                    f"events of book {event.book} among those of {book}: give the events of one book"
                )
            if isinstance(event, ev.Decisions):
                for decisions in rounds.add(event):
                    decide(decisions)
            elif isinstance(event, ev.Orders):
                for some in orders.add(event):
                    order(some)
            elif isinstance(event, ev.Fills):
                for few in fills.add(event):
                    fill(few)
            else:
                tally.single(event)
                if isinstance(event, ev.DeadLetter):
                    names_only = {
                        name: getattr(event, name) for name in ("book", "source", "reason", "payload")
                    }
                    dead.write(encoder.encode(names_only) + b"\n")
        for decisions in rounds.rest():
            decide(decisions)
        for some in orders.rest():
            order(some)
        for few in fills.rest():
            fill(few)
        if table is None:
            stack.enter_context(DecisionsTable(out / "decisions.parquet", facts.config.agents, facts.members))
