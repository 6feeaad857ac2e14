"""The frame of a page of figures: one HTML file that needs no network, for light and for dark screens."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

import orjson

from windvane.infra.report.page import CSS, SCRIPT
from windvane.infra.report.palette import DARK, INK, MUTED, RULE

if TYPE_CHECKING:
    import plotly.graph_objects as go

FONT = "-apple-system, BlinkMacSystemFont, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def frame(title: str, body: str, drawn: Mapping[str, go.Figure]) -> str:
    """Return a whole page as HTML, with plotly's script and all data inside.

    title: of the browser's tab; body: HTML; drawn: the charts by the id of the elements of the body that they go to.
    """
    from plotly.offline import get_plotlyjs

    return (
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width">'
        f"<title>{escape(title)}</title><style>{CSS.replace('FONT', FONT)}</style></head><body>{body}"
        f"<script type=application/json id=figures>{_embed(drawn)}</script>"
        f"<script type=application/json id=night>{_embed(orjson.dumps(DARK).decode())}</script>"
        f"<script>{get_plotlyjs()}</script><script>{SCRIPT}</script></body></html>\n"
    )


def _embed(drawn: Mapping[str, go.Figure] | str) -> str:
    """JSON for a script element, in which no text can be taken for the end of that element.

    drawn: plotly figures by name, or JSON as text.
    """
    if not isinstance(drawn, str):
        drawn = "{" + ",".join(f'"{name}":{figure.to_json()}' for name, figure in drawn.items()) + "}"
    return drawn.replace("</", "<\\/").replace("<!", "<\\u0021")


def base_layout(height: int, **more: Any) -> dict[str, Any]:
    """Return the layout that all charts share, `height` pixels high; more: entries that replace or extend it."""
    axis = {
        "gridcolor": RULE,
        "zeroline": False,
        "linecolor": RULE,
        "tickfont": {"color": MUTED, "size": 12},
        "automargin": True,
    }
    return {
        "template": {"data": {}, "layout": {}},
        "height": height,
        "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": FONT, "size": 13, "color": INK},
        "hovermode": "x unified",
        "hoverlabel": {"font": {"size": 12}},
        "legend": {
            "orientation": "h",
            "yref": "container",
            "y": 0,
            "yanchor": "bottom",
            "x": 0,
            "font": {"color": INK, "size": 12},
        },
        "xaxis": {**axis, "type": "date", "showgrid": False, **more.pop("xaxis", {})},
        "yaxis": {**axis, **more.pop("yaxis", {})},
        **more,
    }
