"""windvane live: one book on paper on the market as it happens."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from windvane.infra.cli import options

if TYPE_CHECKING:
    from windvane.infra.feeds.feed import Market
    from windvane.metamodel.base.config import TradingConfig

EXAMPLES = """
Examples:\n
  windvane live binance BTC/USDT --bars 1m --retraining off --out runs/live\n
  windvane live binanceusdm BTCUSDT --bars 1s --duration 3600 --endpoint http://127.0.0.1:8080
"""


def live(
    exchange: Annotated[str, typer.Argument(help="binance, binanceusdm, kraken, okx, bybit, coinbase ...")],
    symbol: Annotated[str, typer.Argument(help="BTC/USDT, BTCUSDT, BTC/USDT:USDT ...")],
    bars: Annotated[str, typer.Option(help="Bars of 1s, 1m, 15m ..., or none: a row a trade.")] = "1m",
    out: Annotated[Path | None, typer.Option(help="Folder for the results. Default: runs/BOOK.")] = None,
    duration: Annotated[float | None, typer.Option(help="Seconds to run. Default: until Ctrl-C.")] = None,
    endpoint: Annotated[
        str | None, typer.Option(help="Scheme, host and port in place of the exchange's.")
    ] = None,
    book: options.Book = "live",
    agents: options.Agents = None,
    preset: options.Preset = "balanced",
    fee_bp: Annotated[
        float | None, typer.Option(help="Fee, basis points. Default: the exchange's for takers.")
    ] = None,
    lot: Annotated[
        float | None, typer.Option(help="Step of quantities, base. Default: the exchange's.")
    ] = None,
    least_order: Annotated[
        float | None, typer.Option(help="Least order, quote currency. Default: the exchange's.")
    ] = None,
    slippage_bp: options.SlippageBp = 0.0,
    half_spread_bp: Annotated[float, typer.Option(help="Half spread where there are no quotes.")] = 0.0,
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
    as_json: Annotated[bool, typer.Option("--json", help="Print metrics.json on stdout at the end.")] = False,
) -> None:
    """Trade on paper on an exchange's market as it happens. No order is sent to anybody.

    Ctrl-C ends the session: its report is written, and the same command goes on where it was.
    """
    import asyncio

    from windvane.infra.feeds.opening import open_feed
    from windvane.infra.live.alerting import Alerting
    from windvane.infra.live.history import EXCHANGE, Wanted
    from windvane.infra.live.plan import LivePlan
    from windvane.infra.live.session import Session
    from windvane.infra.live.telling import Teller
    from windvane.infra.live.venue import terms_of
    from windvane.infra.live.warming import warm_up
    from windvane.infra.runs.backtest import add_info, claimed, opened_as
    from windvane.infra.runs.lateness import lateness
    from windvane.infra.runs.progress import interruptible
    from windvane.infra.runs.summary import finish, prepare
    from windvane.infra.training.trainer import trainer_for
    from windvane.metamodel.base.config import Costs, check, default_stale_after

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

    def settings(fee: float, name: str, **others: Any) -> "TradingConfig":
        costs = Costs(
            fee_bp=fee,
            slippage_bp=slippage_bp,
            half_spread_bp=half_spread_bp,
            participation=participation,
            delay=delay,
        )
        chosen = options.BookOptions(
            book=book,
            costs=costs,
            symbol=name,
            agents=agents,
            preset=preset,
            capital=capital,
            seed=seed,
            on_halt=on_halt,
            retraining=retraining,
        )
        times = {"interval": interval, "stale_after": default_stale_after(interval)}
        return options.config_for(chosen, closing="timed", **times, **others)[0]

    def configure(market: "Market", price: float) -> "TradingConfig":
        terms = terms_of(market, price, fee_bp, lot, least_order)
        teller.say(terms.told(market))
        return settings(terms.fee_bp, market.symbol, lot=terms.lot, min_order=terms.min_order(capital))

    draft = settings(fee_bp or 0.0, symbol)  # so that what cannot be is refused before anybody is asked
    key: dict[str, Any] = {"book": book, "live": [exchange, symbol, bars], "preset": preset}
    key["options"] = [
        fee_bp, lot, least_order, slippage_bp, half_spread_bp, participation, delay, capital, seed, on_halt,
        [*draft.agents], draft.weighing.retraining, warmup,
    ]  # fmt: skip
    plan = LivePlan(
        book=book,
        key=key,
        interval=interval,
        bars=f"{bars} bars" if interval else "trades",
        preset=preset,
        configure=configure,
        seconds=duration,
        snapshot_seconds=snapshot_seconds,
        keep_days=keep_days,
        record_bytes=int((record_raw or 0) * 1e6),
        warmup=None if warmup is None else Wanted(warmup, interval, book),
    )
    target = out or Path("runs") / book
    feed = open_feed(exchange, symbol, endpoint)
    with claimed(target), trainer_for(draft) as trainer, interruptible() as stopping:
        prepare()
        warm_up()
        alerting = Alerting.of_environment(book)
        session = Session(plan, feed, target, teller=teller, trainer=trainer, alerting=alerting)
        try:
            asyncio.run(session.run(stopping))
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
