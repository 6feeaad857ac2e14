"""Runs the measurements and prints their results as tables; the functions are named after the commands."""

import json
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rig import STAGES, conditions
from sender import Load

if TYPE_CHECKING:
    from fleet import Fleet

_console = Console(width=160)
_BUSY = (*STAGES, "broker")


def _show(title: str, table: Table) -> None:
    _console.print(f"\n{title}: {conditions()}")
    _console.print(table)


def _table(*columns: str) -> Table:
    table = Table(box=None)
    for place, name in enumerate(columns):
        table.add_column(name, justify="right" if place else "left", no_wrap=True)
    return table


def throughput(options: Namespace, bootstrap: str, folder: Path) -> None:
    """Measure and print ticks a second, and the processor time of each stage."""
    import throughput as bench

    table = _table("binding", "books", "ticks", "s", "ticks/s", *(f"{s} us/tick" for s in _BUSY), "load")
    for binding in options.binding:
        for number in map(int, options.books):
            run = bench.run(bootstrap, binding, options.ticks, number, folder)
            cpu = (f"{run.cpu.get(stage, 0):.1f}" for stage in _BUSY)
            rate = run.ticks / run.seconds
            table.add_row(
                binding, str(number), f"{run.ticks:,}", f"{run.seconds:.1f}", f"{rate:,.0f}", *cpu, _load()
            )
    _show("Lockstep replay through all stages, records of 256 rows", table)


def hop(options: Namespace, bootstrap: str, folder: Path) -> None:
    """Measure and print one hop: the features worker beside loops that only read and write."""
    from hop import compare

    for words in options.records:
        rows, number = map(int, words.split(":"))
        table = _table("one hop", "records/s", "ticks/s", "us of processor a record", "of the bare loop")
        runs = compare(bootstrap, rows, number, options.binding, options.quix, folder)
        for name, run in runs.items():
            share = run.records / runs["bare loop"].records
            table.add_row(name, f"{run.records:,.0f}", f"{run.ticks:,.0f}", f"{run.cpu:,.0f}", f"{share:.0%}")
        _show(f"One hop over {number:,} records of {rows} ticks", table)
    if options.quix is None:
        _console.print("Quix Streams was left out: give --quix PYTHON, of a venv that has quixstreams")


def latency(options: Namespace, bootstrap: str, folder: Path) -> None:
    """Measure and print the time from a tick to its order, and the part of each hop in it."""
    from latency import kafka_alone, pipeline_at

    rates, numbers = [float(r) for r in options.rates], [int(n) for n in options.books]
    alone = {rate: kafka_alone(bootstrap, rate, min(options.seconds, 15.0), folder) for rate in rates}
    whole = _table(
        "binding",
        "books",
        "ticks/s",
        "orders",
        "p50 ms",
        "p99",
        "max",
        "rows",
        "p50 ms",
        "p99",
        "max",
        "sender p99",
        "load",
    )
    hops = ("sent", "features", "proposals", "ensemble", "committed and read")
    computed = ("features", "proposals", "ensemble")
    shares = _table("binding", "books", "ticks/s", *hops, *(f"step of {s}" for s in computed))
    busy = _table("binding", "books", "ticks/s", *_BUSY)
    for binding in options.binding:
        asked = (rates, numbers, options.seconds)
        runs = pipeline_at(bootstrap, binding, options.closing, *asked, folder, options.warm)
        for (number, rate), run in runs.items():
            key = (binding, number, f"{rate:g}")
            late = [
                f"{late.count:,}" if f == "count" else f"{getattr(late, f):.1f}"
                for late in (run.orders, run.decisions)
                for f in ("count", "p50", "p99", "most")
            ]
            whole.add_row(*key, *late, f"{run.late:.1f}", f"{run.load:.1f}")
            computing = (f"{run.computing[s]:.2f}" for s in computed)
            busy.add_row(*key, *(f"{run.cpu.get(s, 0):.2f}" for s in _BUSY))
            shares.add_row(*key, *(f"{run.hops[h]:.2f}" for h in hops), *computing)
    _show("Tick due to order read, one tick a record", whole)
    _show("Mean ms of every hop, and of the computing in a step", shares)
    _show("Mean ms of processor time a tick, all partitions and snapshots included", busy)
    bare = _table("Kafka alone", "records/s", "p50 ms", "p99", "max")
    for rate, runs in alone.items():
        for name, late in runs.items():
            bare.add_row(name, f"{rate:g}", f"{late.p50:.1f}", f"{late.p99:.1f}", f"{late.most:.1f}")
    _show("The same rate without any stage", bare)


def soak(options: Namespace, bootstrap: str, folder: Path) -> None:
    """Measure and print how memory and lag develop under a long load."""
    from soak import run

    load = Load(
        bootstrap="",
        prefix="",
        books=(),
        rate=options.rate,
        seconds=60 * options.minutes,
        closing=options.closing,
    )
    table = _table("binding", "what", "first", "last", "slope an hour", "standard error")
    for binding in options.binding:
        done = run(bootstrap, binding, load, options.books, folder)
        for name, slope in (*((f"{s} MB", done.memory[s]) for s in STAGES), ("rows not decided", done.lag)):
            values = (f"{slope.first:.1f}", f"{slope.last:.1f}", f"{slope.hourly:+.2f}", f"{slope.error:.2f}")
            table.add_row(binding, name, *values)
        _console.print(
            f"{binding}: {done.rows:,} rows, {done.seconds:.0f} s sampled, "
            f"most rows not decided {done.most_lag}, restarts {done.restarts}"
        )
    _show(f"{options.minutes:g} minutes at {options.rate:g} ticks/s, {options.books} books", table)


def books(options: Namespace, bootstrap: str, folder: Path) -> None:
    """Measure and print what many books cost, how late they are, and the law that follows."""
    import fleet as bench

    for binding in options.binding:
        runs = [
            bench.run(
                bootstrap,
                binding,
                int(count),
                options.rate,
                options.seconds,
                folder,
                partitions=options.partitions,
                closing=options.closing,
                recovery=options.recovery,
            )
            for count in options.counts
        ]
        _show(f"{options.closing} books at {options.rate:g} ticks/s each, binding {binding}", _costs(runs))
        _show("Tick due to order read and to decision read, ms; storing and recovery, s", _latencies(runs))
        if len(runs) > 1:
            law = bench.Law.of(runs)
            _console.print(
                f"law: {law.fixed:.0f} ms of processor a second + {law.each:.2f} ms x ticks a second"
            )
        if options.json:
            _console.print_json(json.dumps([run._asdict() | {"busy": run.busy} for run in runs]))


def _costs(runs: "list[Fleet]") -> Table:
    table = _table(
        "books", *(f"{s} ms/tick" for s in _BUSY), "sum", "sender", "reader", "MB/book", "KB stored"
    )
    for run in runs:
        cpu = [f"{run.cpu.get(name, 0):.2f}" for name in _BUSY]
        apart = [f"{run.cpu[name]:.2f}" for name in ("sender", "reader")]
        size = sum(run.state.values()) / 1e3
        table.add_row(
            f"{run.books:,}", *cpu, f"{run.busy:.2f}", *apart, f"{run.megabytes:.2f}", f"{size:.0f}"
        )
    return table


def _latencies(runs: "list[Fleet]") -> Table:
    columns = (
        "orders",
        "p50",
        "p99",
        "max",
        "decisions p50",
        "p99",
        "undecided",
        "storing",
        "recovery",
        "load",
    )
    table = _table("books", *columns)
    for run in runs:
        late = [f"{v:.0f}" for v in (run.orders.p50, run.orders.p99, run.orders.most)]
        decided = [f"{v:.0f}" for v in (run.decisions.p50, run.decisions.p99)]
        ends = (f"{max(run.storing.values()):.2f}", f"{run.recovery:.1f}", f"{run.load:.1f}")
        table.add_row(f"{run.books:,}", f"{run.orders.count:,}", *late, *decided, f"{run.undecided:,}", *ends)
    return table


def _load() -> str:
    import os

    return f"{os.getloadavg()[0]:.1f}"
