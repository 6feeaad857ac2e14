"""windvane live: one book on paper on the market as it happens."""

from pathlib import Path
from typing import Annotated, Any

import typer

from windvane.infra.cli import doctor, live_book, options

EXAMPLES = """
Examples:\n
  windvane live binance BTC/USDT --bars 1m --retraining off --out runs/live\n
  windvane live binanceusdm BTCUSDT --bars 1s --duration 3600 --endpoint http://127.0.0.1:8080
"""


def live(
    exchange: live_book.Exchange,
    symbol: live_book.Symbol,
    bars: live_book.Bars = "1m",
    out: Annotated[Path | None, typer.Option(help="Folder for the results. Default: runs/BOOK.")] = None,
    duration: live_book.Duration = None,
    endpoint: live_book.Endpoint = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Serve the cockpit at 127.0.0.1:PORT, 0: a free one."),
    ] = None,
    book: options.Book = "live",
    agents: options.Agents = None,
    shadow: options.Shadow = None,
    seats: options.Seats = None,
    preset: options.Preset = "balanced",
    fee_bp: live_book.FeeBp = None,
    lot: live_book.Lot = None,
    least_order: live_book.LeastOrder = None,
    long_only: live_book.LongOnly = False,
    slippage_bp: options.SlippageBp = 0.0,
    half_spread_bp: live_book.HalfSpreadBp = 0.0,
    participation: options.Participation = 0.0,
    delay: options.Delay = 1,
    capital: options.Capital = 1_000_000.0,
    seed: options.Seed = 0,
    on_halt: options.OnHalt = "next-day",
    retraining: options.Retraining = None,
    snapshot_seconds: Annotated[
        float, typer.Option(help="Seconds between two stored states; a restart computes what lies after one.")
    ] = 5.0,
    keep_days: Annotated[
        int, typer.Option(min=0, help="Days that are over whose rows are kept in the journal, 0: all.")
    ] = 30,
    record_raw: Annotated[
        float | None, typer.Option(help="MB of the exchange's frames to keep as they came, at most.")
    ] = None,
    warmup: Annotated[
        str | None,
        typer.Option(
            help="exchange, or a market file: history that fills windows and teaches, and is not traded."
        ),
    ] = None,
    from_run: Annotated[
        Path | None,
        typer.Option(
            help="Folder of a finished run: begin with what its learner knows, and nothing else of it."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print metrics.json on stdout at the end.")] = False,
) -> None:
    """Trade on paper on an exchange's market as it happens. No order is sent to anybody.

    Ctrl-C ends the session: its report is written, and the same command goes on where it was.
    """
    import asyncio

    doctor.need("aiohttp", "live")
    from windvane.agents.roster import check_made_here, recorded_words
    from windvane.infra.apart.binding import apart
    from windvane.infra.cockpit.live_source import LiveSource, serving
    from windvane.infra.feeds.opening import open_feed
    from windvane.infra.live.alerting import Alerting
    from windvane.infra.live.history import EXCHANGE, Wanted
    from windvane.infra.live.plan import LivePlan
    from windvane.infra.live.session import Session
    from windvane.infra.live.taking_over import learned_by
    from windvane.infra.live.telling import Teller
    from windvane.infra.live.warming import warm_up
    from windvane.infra.report.agents import strangers_here
    from windvane.infra.runs.backtest import add_info, claimed, opened_as
    from windvane.infra.runs.lateness import lateness
    from windvane.infra.runs.progress import interruptible
    from windvane.infra.runs.summary import finish, prepare
    from windvane.infra.training.trainer import trainer_for
    from windvane.metamodel.base.config import check
    from windvane.metamodel.base.weights import digest

    options.check_book(book)
    check(duration is None or duration > 0, f"--duration is {duration}: give seconds above 0")
    check(
        0.1 <= snapshot_seconds <= 3600,
        f"--snapshot-seconds is {snapshot_seconds:g}: give 0.1 to 3600 seconds",
    )
    check(record_raw is None or record_raw > 0, f"--record-raw is {record_raw}: give megabytes above 0")
    interval = options.interval_of(bars)
    check(
        warmup in (None, EXCHANGE) or Path(str(warmup)).is_file(),
        f"--warmup is {warmup!r}: give exchange, or a market file",
    )
    check(warmup is None or interval > 0, "--warmup needs bars: give --bars 1m or the like")
    teller = Teller()

    chosen = live_book.LiveBook(
        book=book,
        interval=interval,
        agents=agents,
        shadow=tuple(shadow or ()),
        seats=seats,
        preset=preset,
        fee_bp=fee_bp,
        lot=lot,
        least_order=least_order,
        slippage_bp=slippage_bp,
        half_spread_bp=half_spread_bp,
        participation=participation,
        delay=delay,
        capital=capital,
        seed=seed,
        on_halt=on_halt,
        retraining=retraining,
        long_only=long_only,
    )
    drafted = chosen.draft(symbol)  # so that what cannot be is refused before anybody is asked
    check_made_here(drafted.bindings, "a live book has no topic that others write to")
    draft = drafted.config
    key: dict[str, Any] = {"book": book, "live": [exchange, symbol, bars], "preset": preset}
    key["options"] = [
        fee_bp, lot, least_order, slippage_bp, half_spread_bp, participation, delay, capital, seed, on_halt,
        [*recorded_words(draft.agents, draft.kinds_of_agents)], draft.weighing.retraining, warmup, long_only,
    ]  # fmt: skip
    learned = b"" if from_run is None else learned_by(from_run, draft)
    if learned:
        key["learned"] = digest(learned)
    if draft.seats:
        key["seats"] = [*draft.seats]
    if draft.shadows:
        key["shadows"] = [*recorded_words(draft.shadows, draft.kinds_of_shadows)]
    shown = None if port is None else LiveSource(book, teller.say)
    plan = LivePlan(
        book=book,
        key=key,
        interval=interval,
        bars=f"{bars} bars" if interval else "trades",
        preset=preset,
        configure=lambda market, price: chosen.configure(market, price, teller.say),
        seconds=duration,
        snapshot_seconds=snapshot_seconds,
        keep_days=keep_days,
        record_bytes=int((record_raw or 0) * 1e6),
        warmup=None if warmup is None else Wanted(warmup, interval, book),
        learned=learned,
        watch=None if shown is None else shown.watch,
        bindings=apart(drafted.bindings),
    )
    target = out or Path("runs") / book
    feed = open_feed(exchange, symbol, endpoint)
    with claimed(target), trainer_for(draft) as trainer, interruptible() as stopping:
        prepare()
        warm_up()
        for sentence in strangers_here(draft, "real"):
            teller.say(sentence)
        alerting = Alerting.of_environment(book)
        session = Session(plan, feed, target, teller=teller, trainer=trainer, alerting=alerting)
        try:
            asyncio.run(serving(session, shown, port or 0, teller.say, stopping))
        finally:
            if alerting is not None:
                alerting.close()
        if not session.opened:
            teller.say("stopped before the exchange had sent a price: nothing was traded")
            raise typer.Exit(130)
        teller.say(session.ending())
        folder, seconds = target / "journal", session.book.seconds
        add_info(folder, lateness=lateness(folder))
        finish(
            target, opened_as(target / "journal"), seconds, latency=session.latencies.told(), as_json=as_json
        )


live.__doc__ = f"{live.__doc__}\n\n{EXAMPLES}"
