"""Building blocks of the report page: numbers as text, tables and the cards at its head, all as HTML."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

from windvane.infra.report.charts import label
from windvane.infra.report.palette import ENSEMBLE, EQUAL, HOLD, colour
from windvane.metamodel.base.times import DAY

NONE = "–"


def number(value: float | None, digits: int = 2) -> str:
    """Return a number as text, with commas between thousands and a typographic minus; a dash for None."""
    return NONE if value is None else f"{value:,.{digits}f}".replace("-", "−")


def percent(value: float | None, digits: int = 1, sign: bool = False) -> str:
    """Return a share (0.5 is half) as percent with a typographic minus; a dash for None. sign: a + where above 0."""
    if value is None:
        return NONE
    text = f"{100 * value:+,.{digits}f}" if sign else f"{100 * value:,.{digits}f}"
    return f"{text} %".replace("-", "−")


def many(count: int, what: str) -> str:
    """Return a count with its noun, in the plural where it is not 1: "1 day", "2 days"."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def instant(ts: int | None) -> str:
    """Return a time in UNIX ns as UTC text to the minute, such as 2024-01-31 23:59; a dash for None."""
    return NONE if ts is None else datetime.fromtimestamp(ts // 10**9, UTC).strftime("%Y-%m-%d %H:%M")


def interval(ns: int) -> str:
    """Return a length of time as text in the largest unit of which it has two or more: days, h, min or s."""
    for unit, size in (("days", DAY), ("h", 3_600_000_000_000), ("min", 60_000_000_000)):
        if ns >= 2 * size:
            return f"{ns / size:.3g} {unit}"
    return f"{ns / 1e9:.3g} s"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], lead: int = 0, narrow: bool = False) -> str:
    """Return an HTML table. The cells must be HTML already: they are not escaped.

    lead: so many first rows are set in bold; narrow: the table is only as wide as it needs.
    """
    top = "".join(f"<th>{cell}</th>" for cell in head)
    body = "".join(
        f"<tr{' class=lead' if i < lead else ''}>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>"
        for i, row in enumerate(rows)
    )
    kind = " class=narrow" if narrow else ""
    return f"<div class=scroll><table{kind}><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"


def bars(head: tuple[str, str, str], counts: dict[str, int], whole: int) -> str:
    """Return an HTML table of counts, each with its share and a bar whose length is in proportion to the count.

    head: titles of the columns name, count and share; whole: the number that is 100 %.
    """
    most = max(counts.values(), default=1)
    rows = "".join(
        f"<tr><td>{escape(name.replace('_', ' '))}</td><td>{count:,}</td>"
        f"<td>{percent(count / whole if whole else None, 2)}</td>"
        f'<td class=wide><span class=bar style="width:{max(1, round(100 * count / most))}%"></span></td></tr>'
        for name, count in counts.items()
    )
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    return (
        f"<div class=scroll><table><thead><tr>{top}<th></th></tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _card(title: str, sub: str, tone: str, one: dict[str, Any]) -> str:
    """The card of one account: its Sharpe ratio in large type above five other figures, in the colour `tone`."""
    lines = (
        ("Total return", percent(one["total_return"], sign=True)),
        ("Max drawdown", percent(one["max_drawdown"])),
        ("Volatility", percent(one["volatility"])),
        ("Days won", percent(one["days_won"], 0)),
        ("Turnover a day", f"{number(one['turnover_per_day'])} ×"),
    )
    text = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in lines)
    more = f" <span class=sub>{escape(sub)}</span>" if sub else ""
    return (
        f'<div class=card data-tone="{tone}" style="--tone:{tone}"><h3>{escape(title)}{more}</h3>'
        f"<p class=figure>{number(one['sharpe'])}</p><p class=unit>Sharpe ratio, a year</p>"
        f"<dl>{text}</dl></div>"
    )


def cards(series: dict[str, dict[str, Any]], agents: tuple[str, ...]) -> str:
    """Return the cards at the head of the page: ensemble, equal weights, best agent, and buy and hold.

    series: the figures by account, as metrics.json holds them; agents: all names, which decide the colours.
    """
    out = [
        _card("Ensemble", "", ENSEMBLE, series["ensemble"]),
        _card("Equal weights", "", EQUAL, series["equal_weights"]),
    ]
    best = series.get("best_agent_in_hindsight")
    if best:
        out.append(_card("Best agent", best["name"], colour(f"agent:{best['name']}", agents), best))
    if "buy_and_hold" in series:
        out.append(_card("Buy and hold", "long 1 × capital", HOLD, series["buy_and_hold"]))
    return f"<div class=cards>{''.join(out)}</div>"


def figures(series: dict[str, dict[str, Any]], agents: tuple[str, ...]) -> str:
    """Return an HTML table of all figures, with a row for each account; the arguments are those of `cards`."""
    head = (
        "",
        "Return",
        "Sharpe",
        "Sortino",
        "Calmar",
        "Volatility",
        "Max drawdown",
        "Return / drawdown",
        "Days won",
    )
    more = ("Profit factor", "Exposure", "Turnover a day", "Trades", "Fees", "Halts")
    rows = []
    for account, one in series.items():
        if account == "best_agent_in_hindsight":
            continue
        tone = colour(account, agents)
        swatch = f'<span class=swatch data-tone="{tone}" style="--tone:{tone}"></span>'
        rows.append(
            (
                swatch + escape(label(account)),
                percent(one["total_return"], sign=True),
                *(number(one[name]) for name in ("sharpe", "sortino", "calmar")),
                percent(one["volatility"]),
                percent(one["max_drawdown"]),
                number(one["return_over_max_drawdown"]),
                percent(one["days_won"], 0),
                number(one["profit_factor"]),
                percent(one["exposure"], 0),
                f"{number(one['turnover_per_day'])} ×",
                number(one["trades"], 0),
                number(one["fees"], 0),
                number(one["halts"], 0),
            )
        )
    return table(head + more, rows, lead=1)


def years(series: dict[str, dict[str, Any]]) -> str:
    """Return an HTML table by calendar year: return and Sharpe ratio of four accounts, the ensemble's max drawdown."""
    wished = ("ensemble", "equal_weights", "best_agent_in_hindsight", "buy_and_hold")
    shown = [name for name in wished if name in series]
    names = {name: label(name) for name in shown} | {"best_agent_in_hindsight": "Best agent"}
    head = ["Year", *(f"{names[name]}, {figure}" for figure in ("return", "Sharpe") for name in shown)]
    rows = []
    for year, one in series["ensemble"]["per_year"].items():
        parts = [series[name]["per_year"][year] for name in shown]
        row = [year, *(percent(p["return"], sign=True) for p in parts), *(number(p["sharpe"]) for p in parts)]
        rows.append([*row, percent(one["max_drawdown"])])
    return table([*head, "Ensemble, max drawdown"], rows)
