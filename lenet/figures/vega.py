"""Charts as Vega-Lite specifications, for the pages of reports and as PNG files.

A chart is a function of the translation of a language, and the rows that it draws. Its order of
axes, series and labels stands in the specification, so that page and PNG show the same. Colours of
ink and paper are parameters: those of a page are variables of its style, those of a PNG are fixed.
"""

import functools
import io
import json
import math
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import vl_convert
from PIL import Image

from lenet.language import translate

Spec = dict[str, Any]
Translate = Callable[..., str]
"""The translation of a language: a text, and the values of its {names}."""
Rows = Mapping[str, Sequence[Mapping[str, Any]]]

HEIGHT = 260
PIXELS = 1500
"""The width of a PNG."""

FONTS = Path(__file__).parent / "fonts"
LATIN, CHINESE = "Liberation Sans", "Droid Sans Fallback"
"""The fonts of a PNG: vl-convert brings the first, FONTS holds the second."""

# After Okabe and Ito, whom colour-blind readers can follow; line styles differ as well.
COLOURS = {
    "light": ["#0072b2", "#d55e00", "#009e73", "#aa4499", "#b8860b", "#56b4e9", "#666666"],
    "dark": ["#56b4e9", "#e69f00", "#2fd0a0", "#e39ac8", "#f0e442", "#7aa6ff", "#bbbbbb"],
}
RAMPS = {  # from low to high, seen on either paper
    "light": ["#a6c8e0", "#3f8fc4", "#08306b"],
    "dark": ["#37587d", "#56b4e9", "#f2f7ff"],
}
INK, QUIET, LINE, PAPER = ({"expr": f"{name}Colour"} for name in ("ink", "quiet", "line", "paper"))
LIGHT = {
    **{"ink": "#1a1a1a", "quiet": "#555555", "line": "#d8d8d8", "paper": "#ffffff"},
    "band": COLOURS["light"][1],
}
"""The colours of a PNG, which the page takes from its style: ink, labels, grid, paper, band."""

NEAR = {"zero": False, "nice": True}
"""A scale that need not begin at 0."""
WHOLE = {"tickMinStep": 1, "labelExpr": "datum.value % 1 ? '' : format(datum.value, 'd')"}
"""An axis of whole numbers; Vega may put ticks between few of them."""


class Chart(NamedTuple):
    """A chart: what draws it in a language, and its rows by the names that it gives them."""

    draw: Callable[[Translate], Spec]
    rows: Rows


def chart(data: str, description: str, **rest: Any) -> Spec:
    """Return a specification that draws the rows of `data`, as wide as the page has room."""
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "description": description[:1].upper() + description[1:],
        "width": "container",
        "height": HEIGHT,
        "data": {"name": data},
        **rest,
    }


def layer(mark: Spec, *, data: str = "", transform: Sequence[Spec] = (), **encoding: Any) -> Spec:
    """Return a layer of a chart: a mark, and what it shows of its rows or those of the chart."""
    own = {"data": {"name": data}} if data else {}
    return {**own, "transform": [*transform], "mark": mark, "encoding": encoding}


def channel(field: str, title: str, kind: str = "quantitative", **rest: Any) -> Spec:
    """Return what puts a field of the rows on an axis, or into a colour or a tooltip."""
    return {"field": field, "type": kind, "title": title, **rest}


def percent(field: str, title: str) -> Spec:
    """Return what shows a field as a percentage."""
    return channel(field, title, format=".2%")


def logarithmic(
    field: str, title: str, values: Sequence[float], ticks: Sequence[float] = ()
) -> Spec:
    """Return an axis by powers of ten with `ticks`, or those of `decades`."""
    axis = {"values": [*ticks] or decades(min(values), max(values)), "format": "~g"}
    return channel(field, title, scale={"type": "log", "nice": False, "padding": 12}, axis=axis)


def decades(low: float, high: float) -> list[float]:
    """Return the ticks of a logarithmic axis: powers of ten, of few also 2 and 5 times them.

    >>> decades(0.001, 2), decades(0.05, 1), decades(0.3, 0.3)
    ([0.001, 0.01, 0.1, 1.0], [0.05, 0.1, 0.2, 0.5, 1.0], [0.3])
    """
    exponents = range(math.floor(math.log10(low)), math.floor(math.log10(high)) + 1)
    steps = (1,) if high >= 1000 * low else (1, 2, 5)
    ticks = [float(f"{step}e{exponent}") for exponent in exponents for step in steps]
    inside = [tick for tick in ticks if low * 0.999 <= tick <= high * 1.001]
    return inside if len(inside) > 1 else sorted({low, high})


def named(names: Mapping[str, str]) -> Spec:
    """Return a transform that gives each row's series its name in this language."""
    return {"calculate": f"({json.dumps(names)})[datum.series]", "as": "name"}


def coloured(names: Mapping[str, str], title: str = "", among: Sequence[str] = ()) -> Spec:
    """Return what gives a series its colour; the legend shows it in full, as areas do not.

    Its symbols have the dashes of the lines, where there are any. `among` has all names that a page
    gives colours, in their order, where a chart has only some of them: a name keeps its colour.
    """
    dashes = {"value": {"expr": "scale('strokeDash', datum.value)"}}
    legend = {
        "symbolOpacity": 1,
        "symbolType": "stroke",
        "encoding": {"symbols": {"strokeDash": dashes}},
    }
    whole = legend if len(names) > 1 else None
    if among and whole:
        whole["values"] = list(names.values())
    order = {"scale": {"domain": [*among]}} if among else {"sort": list(names.values())}
    return channel("name", title, "nominal", legend=whole, **order)


def picking(data: str, opacity: float = 1) -> tuple[Spec, Spec]:
    """Return a parameter of a chart, and an opacity: a name pressed in the legend is left alone."""
    name = f"picked_{data}"  # charts beside one another share no name
    select = {"type": "point", "fields": ["name"], "toggle": "true"}  # each click, without Shift
    shown = {"condition": {"param": name, "value": opacity}, "value": 0.12}
    return {"name": name, "select": select, "bind": "legend"}, shown


def lines(
    data: str,
    description: str,
    x: Spec,
    y: Spec,
    names: Mapping[str, str],
    shown: str,
    behind: Sequence[Spec] = (),
    title: str = "",
    among: Sequence[str] = (),
) -> Spec:
    """Return lines with dots, one for each series; a name pressed in the legend is left alone.

    A few lines with short names have these at their ends, too. The last layer is of rules, one at
    each x, unseen: on a page the one that is pointed at is seen, and what is said there is the
    value of every series.

    Args:
      data: the name of the rows, which have a `series`.
      description: of the chart.
      x, y: channels; x also of the layers behind.
      names: of the series, in this language, in their order.
      shown: an expression of Vega, the value of a row in words.
      behind: layers that are drawn first.
      title: of the legend.
      among: as of `coloured`.
    """
    colour = coloured(names, title, among)
    pick, opacity = picking(data)
    line = layer(
        {"type": "line", "point": {"size": 24, "filled": True}},
        transform=[named(names)],
        y=y,
        color=colour,
        strokeDash={**colour, "legend": None},
        opacity=opacity,
    )
    layers = [*behind, line]
    # Vega-Lite binds a legend by the first layer that has its colours: other layers share it.
    fields = [each["encoding"].get("color", {}).get("field") for each in layers]
    layers[fields.index("name")]["params"] = [pick]
    room = 12 + max(map(_wide, names.values()), default=0)
    if 1 < len(names) <= MOST_NAMED and room <= ROOM:
        ends = {"range": [0, {"expr": f"max(width - {room}, 0.6 * width)"}]}
        x = {**x, "scale": {**x.get("scale", {}), **ends}}
        layers.append(_at_ends(x["field"], y, names, colour, opacity))
    return chart(
        data,
        description,
        usermeta={"names": list(names.values())},  # for the width of the legend
        encoding={"x": x},
        layer=[*layers, _crosshair(x, names, shown)],
    )


def _wide(name: str) -> int:
    """About how many pixels a name is wide."""
    return sum(7 if ord(letter) < 0x2E80 else 12 for letter in name)


def _at_ends(x: str, y: Spec, names: Mapping[str, str], colour: Spec, opacity: Spec) -> Spec:
    """The name of each series that reaches the end, above the name of the one below it there."""
    field, scale = y["field"], y.get("scale", {})
    level = f"log(datum.{field})" if scale.get("type") == "log" else f"datum.{field}"
    least, most = scale.get("domain", (0 if scale.get("zero") else "datum.least", "datum.most"))
    ends = [
        {"op": "min", "field": "level", "as": "least"},
        {"op": "max", "field": "level", "as": "most"},
    ]
    # In pixels, as far as they are known here: the names have no part in the scale.
    pixels = f"{HEIGHT} * (datum.level - {least}) / (({most}) - ({least}) || 1)"
    sort = [{"field": "pixels"}]
    transform: list[Spec] = [
        named(names),
        {"filter": f"isValid(datum.name) && isValid(datum.{field})"},
        {"calculate": level, "as": "level"},
        {"joinaggregate": ends},
        {"joinaggregate": [{"op": "max", "field": x, "as": "last"}]},
        {"filter": f"datum.{x} === datum.last"},
        {
            "aggregate": [{"op": "mean", "field": each, "as": each} for each in ("level", field)],
            "groupby": ["name", x, "least", "most"],
        },
        {"calculate": pixels, "as": "pixels"},
        {"window": [{"op": "row_number", "as": "place"}], "sort": sort},
        {"calculate": f"datum.pixels - datum.place * {NAME_HEIGHT}", "as": "free"},
        {
            "window": [{"op": "max", "field": "free", "as": "pushed"}],
            "frame": [None, 0],
            "sort": sort,
        },
        {"calculate": f"datum.pushed + datum.place * {NAME_HEIGHT} - datum.pixels", "as": "up"},
    ]
    mark = {"type": "text", "align": "left", "baseline": "middle", "dx": 7, "fontSize": 11}
    mark |= {"dy": {"expr": "-datum.up"}, "limit": {"expr": "max(24, 0.4 * width - 8)"}}
    return layer(
        mark | {"aria": False},
        transform=transform,
        y=y,
        text={"field": "name", "type": "nominal"},
        color={**colour, "legend": None},
        opacity=opacity,
    )


def _crosshair(x: Spec, names: Mapping[str, str], shown: str) -> Spec:
    """A rule at each x, unseen: its datum has x as `at`, the same in words, and all rows there."""
    field = x["field"]
    head = f"{json.dumps(x['title'] + ' ')} + format(datum.{field}, '.4~g')"
    rows = [
        named(names),
        {"filter": "isValid(datum.name)"},
        {"calculate": shown, "as": "shown"},
        {"calculate": f"datum.{field}", "as": "at"},
        {"calculate": head, "as": "head"},
        {"aggregate": [{"op": "values", "as": "rows"}], "groupby": [field, "at", "head"]},
    ]
    return {"name": "crosshair"} | layer(
        {"type": "rule", "color": INK, "opacity": 0}, transform=rows
    )


MOST_NAMED, ROOM, NAME_HEIGHT = 8, 160, 12
"""Lines that have their names at their ends, at most, and the pixels that these may take."""
THEME: Spec = {
    "line": {"strokeWidth": 2},
    "axis": {
        **{"labelColor": QUIET, "titleColor": INK, "labelFontSize": 11, "titleFontSize": 12},
        **{"gridColor": LINE, "domainColor": LINE, "tickColor": LINE, "gridOpacity": 0.7},
        **{"labelFlush": False, "titleFontWeight": "normal"},
    },
    "legend": {
        **{"labelColor": INK, "titleColor": INK, "orient": "bottom"},
        **{"labelLimit": 320, "titleLimit": 320, "symbolStrokeWidth": 3},
    },
    "view": {"stroke": None},
}
"""How every chart looks."""


_CONVERTING = threading.Lock()


def convert(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Return what a function of vl-convert returns, one call at a time.

    vl-convert has a lock, and keeps it while it makes Python objects. When garbage is collected
    then, callbacks such as JAX's let another thread run; if that calls vl-convert too, it waits for
    the lock and keeps the interpreter, and the process stands still. A live page and the pictures
    of a sweep are drawn by two threads.
    """
    with _CONVERTING:
        return function(*args, **options)


def on_page(draw: Callable[[Translate], Spec], languages: Sequence[str]) -> Spec:
    """Return a chart for the page of a report: a specification of Vega, and words that it changes.

    Its `spec` is in the first of `languages`; `words` has for each of them what it says otherwise,
    as pairs of a path and a value: a chart is of the same parts in every language. Colours are
    variables of the page's style. The rows, the font, the columns of the legend and the ramps are
    left to the page. A chart over epochs has a rule at the signal `shownEpoch`, unless it is null.
    """
    first, *_ = specs = [
        _compiled(json.dumps(draw(functools.partial(translate, each)))) for each in languages
    ]
    each_otherwise = (list(_differences(first, spec)) for spec in specs)
    return {"spec": first, "words": dict(zip(languages, each_otherwise, strict=True))}


@functools.lru_cache(256)  # a run's page has the same charts after each epoch
def _compiled(spec: str) -> Spec:
    """A chart as the page takes it: in Vega, so that no page needs Vega-Lite."""
    whole: Spec = json.loads(spec)
    colours = {f"{name}Colour": f"var(--{name})" for name in ("ink", "quiet", "line", "paper")}
    colours["bandColour"] = "var(--series-1)"
    category = [f"var(--series-{i})" for i in range(len(COLOURS["light"]))]
    params: list[Spec] = [{"name": n, "value": value} for n, value in colours.items()]
    if whole.get("encoding", {}).get("x", {}).get("field") == "epoch":
        params.append({"name": "shownEpoch", "value": None})
        whole["layer"].append(
            layer(
                {"type": "rule", "strokeDash": [3, 3], "color": INK, "opacity": 0.8},
                transform=[{"calculate": "shownEpoch", "as": "epoch"}],
                x={"field": "epoch", "type": "quantitative"},
            )
            | {"data": {"values": [{}]}}
        )
    whole["params"] = params + whole.get("params", [])
    # Of a chart with a crosshair a screen reader is told the last values, not each point and tick.
    told = any(each.get("name") == "crosshair" for each in whole.get("layer", []))
    quiet = {"aria": False} if told else {}
    whole["config"] = THEME | {
        "background": None,
        "legend": THEME["legend"] | {"labelFontSize": 13, "symbolSize": 300},
        "range": {"category": category},
        **{mark: {"color": category[0]} | quiet for mark in ("mark", "point")},
        "axis": THEME["axis"] | quiet,
    }
    made: Spec = convert(vl_convert.vegalite_to_vega, whole)
    return made


def _differences(
    first: Any, other: Any, path: tuple[str | int, ...] = ()
) -> Iterator[tuple[Any, Any]]:
    """Pairs of a path into `first` and what `other` has there, where the two differ."""
    match first, other:
        case dict(), dict() if first.keys() == other.keys():
            inside = [(key, first[key], other[key]) for key in first]
        case list(), list() if len(first) == len(other):
            inside = [(i, *pair) for i, pair in enumerate(zip(first, other, strict=True))]
        case _:
            inside = []
            if first != other:
                yield path, other
    for key, one, another in inside:
        yield from _differences(one, another, (*path, key))


def png(
    charts: Sequence[Chart], language: str = "en", *, title: str = "", pixels: int = PIXELS
) -> bytes:
    """Return charts as a PNG, `pixels` wide; other args are those of `svg`.

    Its pixels are the same wherever vl-convert is, be there fonts on the system or none.
    """
    drawn = svg(charts, language, title=title)
    _add_fonts()
    across = float(re.search(r'width="([\d.]+)"', drawn)[1])  # type: ignore[index]
    drawn_png = convert(vl_convert.svg_to_png, drawn, scale=pixels / across)
    picture = Image.open(io.BytesIO(drawn_png))
    smaller = io.BytesIO()  # a third: vl-convert hardly compresses
    picture.convert("RGB").save(smaller, "png")
    return smaller.getvalue()


def described(charts: Sequence[Chart], language: str) -> str:
    """Return what charts show, in words, for who cannot see their picture."""
    t = functools.partial(translate, language)
    return t("; ").join(chart.draw(t)["description"] for chart in charts)


def svg(charts: Sequence[Chart], language: str = "en", *, title: str = "") -> str:
    """Return one to three charts, one beside the other on white, as an SVG.

    Each has its description as its title; `title`, of several lines perhaps, is above them all.
    """
    specs = [chart.draw(functools.partial(translate, language)) for chart in charts]
    width = {1: 560, 2: 340, 3: 280}[len(charts)]
    size = {"width": width, "height": max(spec["height"] for spec in specs)}
    legends = [spec.get("usermeta", {}).get("names", [""]) for spec in specs]
    shared = all(names == legends[0] for names in legends)
    room = width * len(charts) if shared else width
    longest = max((len(name) for names in legends for name in names), default=1)
    colours, ramp = COLOURS["light"], RAMPS["light"]
    specs = [_sized(spec, width) for spec in specs]
    if not shared:  # Vega-Lite calls the scales of each by its place
        specs = [
            json.loads(json.dumps(spec).replace("scale('", f"scale('concat_{i}_"))
            for i, spec in enumerate(specs)
        ]
    whole = {
        "hconcat": [spec | size | {"title": _title(spec)} for spec in specs],
        "spacing": 28,
        "padding": 10,
        "background": LIGHT["paper"],
        "params": [{"name": f"{name}Colour", "value": value} for name, value in LIGHT.items()],
        "datasets": {name: rows for chart in charts for name, rows in chart.rows.items()},
        "resolve": {
            "scale": dict.fromkeys(("color", "strokeDash"), "shared" if shared else "independent")
        },
        "config": THEME
        | {"legend": THEME["legend"] | {"columns": max(1, int(room // (6.5 * longest + 36)))}}
        | {"font": LATIN, "mark": {"color": colours[0]}, "point": {"color": colours[0]}}
        | {"range": {"category": colours, "ramp": ramp, "heatmap": ramp}},
    }
    if title:
        whole["title"] = {
            "text": title.split("\n"),
            "anchor": "middle",
            "fontSize": 14,
            "offset": 12,
        }
    _add_fonts()
    # Another font of the system may have these characters too, and come first.
    chinese = rf'<tspan font-family="{CHINESE}">\g<0></tspan>'
    return re.sub(
        r">[^<]+<",
        lambda text: re.sub(r"[\u2e80-\uffef]+", chinese, text[0]),
        convert(vl_convert.vegalite_to_svg, whole),
    )


def _sized(spec: Any, width: int) -> Any:
    """A specification whose expressions have a number for the width, which has no name there."""
    match spec:
        case {"expr": str(expression)}:
            return {"expr": re.sub(r"\bwidth\b", str(width), expression)}
        case dict():
            return {key: _sized(value, width) for key, value in spec.items()}
        case list():
            return [_sized(value, width) for value in spec]
    return spec


def _title(spec: Spec) -> Spec:
    note = spec.get("usermeta", {}).get("note", "")
    return {"text": spec["description"], "subtitle": note, "subtitleColor": QUIET, "fontSize": 13}


@functools.cache
def _add_fonts() -> None:
    convert(vl_convert.register_font_directory, str(FONTS))
