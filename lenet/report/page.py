"""Render a Report as HTML: two languages, no network access, and a policy that forbids it."""

import base64
import functools
import hashlib
import io
import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from typing import Any, NamedTuple

import jinja2
import vl_convert
from markupsafe import Markup
from PIL import Image

from lenet.analysis.stats import Interval
from lenet.analysis.summary import Estimate
from lenet.figures import vega
from lenet.figures.vega import Chart
from lenet.language import LANGUAGES, Message, message, sentences, translate, translation
from lenet.report import names

SCRIPTS = tuple(
    f"{name}.js"
    for name in (
        *("network", "explain", "picture", "change", "kernel", "unit", "layers", "first"),
        *("gallery", "plane", "chart", "save", "copy", "time", "second", "page"),
    )
)
LIVE = "live.js"
PLAIN_PIXELS = 900
"""Width of the picture of a page without JavaScript."""


class Part(NamedTuple):
    """The contents of one part of a page."""

    values: Mapping[str, Any] = {}  # for the template
    charts: Mapping[str, Chart] = {}  # by id in the template
    payload: Mapping[str, Any] = {}  # for the scripts


class Report(NamedTuple):
    """The contents of a page."""

    template: str  # of the sections, such as "run.html"
    title: str  # comes from outside, as much else does: the templates escape it
    parts: Sequence[Part]
    result: Message | None = None  # for the headline and the tab of the browser
    plain: Sequence[Chart] = ()  # as a picture where there is no JavaScript


def render(report: Report, language: str = "en", live: bool = False) -> bytes:
    """Return the page of a report; `language` is shown first, and a button changes it.

    A `live` page follows the server of `lenet.report.live`, which it comes from.
    """
    whole = merged(report.parts)
    plain = () if live else report.plain  # drawing takes long
    files = resources.files("lenet.report")
    names_of = ("page.css", *SCRIPTS, *([LIVE] if live else []))
    style, *own = ((files / name).read_text(encoding="utf-8") for name in names_of)
    style += _palette()
    scripts = {"vega": _vega(), "own": "".join(own)}
    specs = {name: vega.on_page(chart.draw, LANGUAGES) for name, chart in whole.charts.items()}
    rows = {name: some for chart in whole.charts.values() for name, some in chart.rows.items()}
    charts = {"charts": specs, "data": rows, "ramps": vega.RAMPS}
    titles = {each: _title(report, each) for each in LANGUAGES}
    said = {"words": _said(names.COLUMNS), "texts": _said(names.SCRIPTS), "titles": titles}
    policy = (
        f"default-src 'none'; script-src {' '.join(map(_hash, scripts.values()))}; "
        f"style-src {_hash(style)}; img-src data:; base-uri 'none'; form-action 'none'"
        + "; connect-src 'self'"
        * live
    )
    html = (
        _environment()
        .get_template(report.template)
        .render(
            whole.values,
            title=report.title,
            result=report.result,
            tab=titles[language],
            language=language,
            policy=policy,
            live=live,
            plain=_picture(plain, language),
            described=vega.described(plain, language),
            # Markup: these are ours, and to escape them would change what the policy has hashed.
            style=Markup(style),
            script=Markup(scripts["own"]),
            vega=_packed(scripts["vega"]),
            drawn=list(specs),
            payload=_finite({**whole.payload, **charts, **said}),
        )
    )
    return html.encode("utf-8", "replace")  # a name from a file system may be no Unicode


def scale(values: Iterable[Any], *also: float) -> tuple[float, float]:
    """Return the lowest and highest number that intervals and estimates of a table reach.

    >>> scale([Interval(0.5, 0.25, 1.0), "", None], 0.0)
    (0.0, 1.0)
    """
    found = list(also)
    for value in values:
        match value:
            case Interval():
                found += value
            case Estimate():
                found += [value.mean, *(value.interval or ())]
    return (min(found), max(found)) if found else (0.0, 1.0)


def _picture(charts: Sequence[Chart], language: str) -> str:
    """Charts as the address of a PNG, of few colours so that it is small."""
    if not charts:
        return ""
    found = Image.open(io.BytesIO(vega.png(charts, language, pixels=PLAIN_PIXELS)))
    small = io.BytesIO()
    found.quantize(16, dither=Image.Dither.NONE).save(small, "png", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(small.getvalue()).decode()}"


def _palette() -> str:
    """The colours of series as variables of the style."""
    both = zip(vega.COLOURS["light"], vega.COLOURS["dark"], strict=True)
    each = (f"--series-{i}: light-dark({light}, {dark});" for i, (light, dark) in enumerate(both))
    return f":root {{ {' '.join(each)} }}\n"


def _title(report: Report, language: str) -> str:
    """What the tab of the browser is called: the result first, for it is cut at the end."""
    result = [translate(language, report.result)] if report.result else []
    return " · ".join([*result, report.title, "lenet"])


def _said(texts: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Texts by language, their {names} left for the scripts to fill in."""
    return {
        each: {name: translation(each)(text) for name, text in texts.items()} for each in LANGUAGES
    }


def merged(parts: Iterable[Part]) -> Part:
    """Return several parts as one."""
    fields = zip(*parts, strict=True)
    return Part(*({k: v for part in field for k, v in part.items()} for field in fields))


def _finite(value: Any) -> Any:
    """The same with None for numbers that JSON has not, such as a broken network's logits."""
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@functools.cache
def _vega() -> str:
    """Vega, and what evaluates its expressions where a policy forbids code from strings."""
    # vl-convert has the files of this address; what it calls `vega` itself is null in 1.9.
    address = f"https://cdn.jsdelivr.net/npm/vega@{vl_convert.get_vega_version()}/+esm.js"
    file = resources.files("lenet.report") / "vega-interpreter.js"
    snippet = (
        f'import * as Vega from "{address}";',
        file.read_text(encoding="utf-8"),
        "const { View, parse } = Vega;",
        "window.vega = { View, parse, expressionInterpreter: expression };",
    )
    return str(vega.convert(vl_convert.javascript_bundle, "\n".join(snippet)))


@functools.cache
def _packed(script: str) -> str:
    """A script as deflated base64: half of its size, and the page inflates it in a moment."""
    return base64.b64encode(zlib.compress(script.encode(), 9)).decode()


def _hash(content: str) -> str:
    """What a content security policy calls a script or style of this content."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("lenet", "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        lstrip_blocks=True,
    )
    environment.globals |= {"t": both, "m": message, "paragraph": paragraph}
    environment.globals["recorded"] = names.RECORDED
    return environment


def both(text: str | Message, **values: Any) -> Markup:
    """Return a text in every language, each in a span of its own; the page shows one of them.

    >>> both("brush size {size}", size="<3")
    Markup('<span lang="en">brush size &lt;3</span><span lang="zh">画笔 &lt;3</span>')
    """
    return Markup("").join(
        Markup('<span lang="{}">{}</span>').format(each, translate(each, text, **values))
        for each in LANGUAGES
    )


def paragraph(texts: Sequence[Message]) -> Markup:
    """Return some sentences as one paragraph in every language, as `both` does with a text."""
    return Markup("").join(
        Markup('<span lang="{}">{}</span>').format(each, sentences(each, texts))
        for each in LANGUAGES
    )
