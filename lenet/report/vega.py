"""What the charts of reports are made of: Vega-Lite specifications, whose rows come by name.

A chart is a function of the translation of the page's language. Colours, fonts and widths are the
page's, which knows whether it is dark.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from lenet.report.page import Spec

HEIGHT = 260
WHOLE = {"tickMinStep": 1, "labelExpr": "datum.value % 1 ? '' : format(datum.value, 'd')"}
"""An axis of whole numbers; Vega may put ticks between few of them."""


def chart(data: str, description: str, **rest: Any) -> Spec:
    """Return a specification that draws the rows of `data`, as wide as the page has room."""
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "description": description,
        "width": "container",
        "height": HEIGHT,
        "data": {"name": data},
        **rest,
    }


def channel(field: str, title: str, kind: str = "quantitative", **rest: Any) -> Spec:
    """Return what puts a field of the rows on an axis, or into a colour or a tooltip."""
    return {"field": field, "type": kind, "title": title, **rest}


NEAR = {"zero": False, "nice": True}
"""A scale that need not begin at 0."""


def named(names: Mapping[str, str]) -> Spec:
    """Return a transform that gives each row's series its name in this language."""
    return {"calculate": f"({json.dumps(names)})[datum.series]", "as": "name"}


def coloured(names: Mapping[str, str]) -> Spec:
    """Return what gives a series its colour; the legend shows it in full, as areas do not."""
    return channel("name", "", "nominal", sort=list(names.values()), legend={"symbolOpacity": 1})


def lines(
    data: str,
    description: str,
    x: Spec,
    y: Spec,
    names: Mapping[str, str],
    tooltip: Sequence[Spec],
    behind: Sequence[Spec] = (),
) -> Spec:
    """Return lines with dots, one for each series; a click in the legend leaves one alone.

    Args:
      data: the name of the rows, which have a `series`.
      description: of the chart.
      x, y: channels.
      names: of the series, in this language, in their order.
      tooltip: channels, beside the name.
      behind: layers that are drawn first.
    """
    colour = coloured(names)
    pick = {
        "name": "picked",
        "select": {"type": "point", "fields": ["name"]},
        "bind": "legend",
    }
    seen = {"condition": {"param": "picked", "value": 1}, "value": 0.12}
    return chart(
        data,
        description,
        usermeta={"names": list(names.values())},  # for the width of the legend
        layer=[
            *behind,
            {
                "transform": [named(names)],
                "params": [pick],
                "mark": {"type": "line", "point": {"size": 36, "filled": True}},
                "encoding": {
                    "x": x,
                    "y": y,
                    "color": colour,
                    "strokeDash": {**colour, "legend": None},
                    "opacity": seen,
                    "tooltip": [channel("name", "", "nominal"), *tooltip],
                },
            },
        ],
    )


def percent(field: str, title: str) -> Spec:
    """Return what shows a field as a percentage."""
    return channel(field, title, format=".2%")
