"""What figures show: the same as the page, all that the rows hold, in both languages."""

import functools
import io
import itertools
import random
import re
import subprocess
import sys

import numpy as np
import pytest
import record_rows
import scipy
from fontTools.ttLib import TTFont
from PIL import Image

from lenet.analysis import published
from lenet.analysis.summary import Sweep
from lenet.analysis.terms import TERMS, VALUES
from lenet.config import Config
from lenet.engine.rows import Row
from lenet.figures import comparison, groups, run, sweep, vega
from lenet.language import translate
from lenet.records.ledger import Entry
from lenet.report import of_sweep, page

LATIN = {*map(chr, range(32, 127)), *"·×−±"}
"""What Liberation Sans, which vl-convert brings, has for sure."""


def row(epoch: int, accuracy: float) -> Row:
    running = [(epoch - 1 + i / 5, 2.0 / epoch, accuracy) for i in range(1, 6)]
    numbers = {"train_loss": 2.0 / epoch, "train_accuracy": accuracy, "running": running}
    return record_rows.row(epoch, test_loss=2.0, test_accuracy=accuracy, **numbers)


ROWS = [row(1, 0.1), row(2, 0.5), row(3, 0.7)]


def entries() -> list[Entry]:
    """Three rates, two poolings, two numbers of channels, two seeds; above 1 a pooling diverges."""
    axes = itertools.product([1.5, 0.02, 0.3], ["max", "avg"], [(16, 6), (6,)], [0, 1])
    found = []
    for i, (lr, pool, channels, seed) in enumerate(axes):
        config = Config(lr=lr, pool=pool, channels=channels, seed=seed, epochs=2)
        lost = "diverged: too fast" if lr > 1 and pool == "max" and seed == 1 else None
        rows = [row(epoch, 0.4 + 0.1 * epoch + 0.01 * i) for epoch in (1, 2)]
        found.append(Entry(i, config, rows[:1] if lost else rows, lost))
    return found


def charts(entries: list[Entry], axes: list[str]) -> dict[str, vega.Chart]:
    return sweep.charts(Sweep(entries, axes, Config()))


def every() -> dict[str, vega.Chart]:
    """All charts there are of a run, a sweep and a comparison."""
    band = published.band()
    found = {"losses": run.losses(ROWS, 3), "accuracies": run.accuracies(ROWS, 3, band)}
    found |= {end: run.published(end, "book", [dict.fromkeys(run.ENDS, 0.5)]) for end in run.ENDS}
    found |= charts(entries(), ["lr", "pool", "channels"])
    found |= charts([e for e in entries() if e.config.pool == "max"], ["lr", "channels"])
    return found | {f"compare {n}": c for n, c in comparison.charts(record_rows.compared()).items()}


def said(svg: str) -> str:
    """The text of an SVG."""
    return "".join(re.findall(r">([^<]+)<", svg))


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), np.int16)


@pytest.mark.slow
@pytest.mark.parametrize("name", every())
def test_every_character_is_in_a_font_that_comes_along(name):
    chinese = {chr(code) for code in TTFont(next(vega.FONTS.glob("*.ttf"))).getBestCmap()}
    for language in ("en", "zh"):
        svg = vega.svg([every()[name]], language)
        text = said(svg)
        assert not set(text) - LATIN - chinese
        spans = "".join(re.findall(rf'"{vega.CHINESE}">([^<]+)</tspan>', svg))
        assert {c for c in text if c not in LATIN} == set(spans)
        assert bool(spans) == (language == "zh")


def test_a_picture_is_wide_white_and_the_same_each_time():
    both = [run.losses(ROWS, 3), run.accuracies(ROWS, 3, None)]
    first, second, chinese = (vega.png(both, language) for language in ("en", "en", "zh"))
    assert first == second != chinese
    picture = pixels(first)
    assert abs(picture.shape[1] - vega.PIXELS) <= 1
    assert (picture[[0, 0, -1, -1], [0, -1, 0, -1]] == 255).all()
    for colour in vega.COLOURS["light"][:2]:
        rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        assert (np.abs(picture - rgb).sum(-1) < 12).sum() > 50


def marks(svg: str, role: str) -> list[dict[str, str]]:
    """What an SVG's marks of a kind say of themselves."""
    labels = re.findall(
        rf'aria-label="([^"]+)" role="graphics-symbol" aria-roledescription="{role}"', svg
    )
    return [dict(part.split(": ", 1) for part in label.split("; ")) for label in labels]


def test_the_marks_have_the_values_of_the_rows():
    chart = run.losses(ROWS, 3)
    points = marks(vega.svg([chart]), "point")
    drawn = sorted((m["name"], float(m["epoch"]), float(m["loss (nats)"])) for m in points)
    names = {"train": "training", "test": "test"}
    rows = chart.rows["losses"]
    assert drawn == sorted(
        (names[r["series"]], round(r["epoch"], 6), round(r["value"], 12)) for r in rows
    )
    assert len(drawn) == 18


def test_the_gap_between_two_lines_is_the_statistic_of_kolmogorov_and_smirnov():
    ours = [{"test_accuracy": x, "train_loss": 0.5} for x in (0.78, 0.79, 0.79, 0.82)]
    svg = vega.svg([run.published("test_accuracy", "book", ours)])
    (line,) = re.findall(r'name: lenet [^"]*" [^>]* d="([^"]+)"', svg)
    (theirs,) = re.findall(r'name: PyTorch[^"]*" [^>]* d="([^"]+)"', svg)
    a, b = (
        np.array([point.split(",") for point in re.split("[ML]", d)[1:]], float)
        for d in (line, theirs)
    )
    places = np.unique(np.concatenate([a[:, 0], b[:, 0]]))

    def share(steps: np.ndarray) -> np.ndarray:
        above = [steps[steps[:, 0] <= x + 1e-9, 1] for x in places]
        return np.array([1 - values.min() / vega.HEIGHT if len(values) else 0 for values in above])

    gap = np.abs(share(a) - share(b)).max()
    numbers = [[run["test_accuracy"] for run in ours], published.runs("pytorch").test_acc]
    assert gap == pytest.approx(scipy.stats.ks_2samp(*numbers).statistic, abs=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_axes_are_in_the_order_of_their_values_whatever_the_order_of_the_runs(seed):
    shuffled = random.Random(seed).sample(entries(), len(entries()))
    settings = Sweep(shuffled, [], Config()).settings
    assert sweep.levels(settings, "lr") == ["0.02", "0.3", "1.5"]
    assert sweep.levels(settings, "channels") == ["6", "16,6"]
    chart = charts(shuffled, ["lr", "pool", "channels"])["settings"]
    labels = re.findall(r">([\d.]+ · \w+ · [\d,]+)<", vega.svg([chart]))
    expected = [
        f"{lr} · {pool} · {channels}"
        for lr in ("0.02", "0.3", "1.5")
        for pool in ("average", "max")
        for channels in ("6", "16,6")
    ]
    assert labels == expected


def test_the_page_and_the_files_draw_the_same_charts():
    axes = ["lr", "pool", "channels"]
    asked = {"command": "", "flags": {}, "runs": len(entries()), "environment": {}}
    report = of_sweep.report("s", Sweep(entries(), axes, Config()), asked)
    on_page, drawn = page.merged(report.parts).charts, charts(entries(), axes)
    assert on_page.keys() == drawn.keys() == {"curves", "rates", "settings", "map", "parallel"}
    t = functools.partial(translate, "zh")
    for name, chart in drawn.items():
        assert chart.draw(t) == on_page[name].draw(t)
        assert chart.rows == on_page[name].rows


def test_a_run_that_diverged_is_a_cross_and_no_accuracy():
    rates = charts(entries(), ["lr", "pool", "channels"])["rates"]
    assert min(r["low"] for r in rates.rows["rates"]) > 0.5
    lost = {(r["series"], r["lr"], r["diverged"], r["n"]) for r in rates.rows["diverged"]}
    assert lost == {(f"pooling max, output channels {c}", 1.5, 1, 2) for c in ("6", "16,6")}
    assert said(vega.svg([rates])).count("×") == 2 + 1  # and what it means
    tuned = comparison.charts(record_rows.compared())["rates"]
    assert {r["lr"] for r in tuned.rows["diverged"]} == {3.0}
    assert min(r["low"] for r in tuned.rows["rates"]) > 0.4
    assert {"median", "low", "high"} < tuned.rows["rates"][0].keys()


def test_a_map_has_a_cross_where_every_run_diverged():
    grid = [e for e in entries() if e.config.channels == (6,) and e.config.pool == "max"]
    grid += [e._replace(config=e.config.__class__(pool="avg", lr=e.config.lr)) for e in grid]
    grid = [e._replace(diverged="far" if e.config.lr > 1 else None) for e in grid]
    chart = charts(grid, ["lr", "pool"])["map"]
    assert said(vega.svg([chart])).count("×") == 2
    assert [r["mean"] for r in chart.rows["map"] if r["lr"] == "1.5"] == [None, None]


def test_a_map_of_more_than_two_axes_has_the_best_of_the_others_in_each_cell():
    chart = charts(entries(), ["lr", "pool", "channels"])["map"]
    found = {(row["lr"], row["pool"]): row["mean"] for row in chart.rows["map"]}
    assert len(found) == len(chart.rows["map"]) == 6
    by_cell: dict[tuple, list[float]] = {}
    for setting in Sweep(entries(), ["lr", "pool", "channels"], Config()).settings:
        cell = f"{setting.config.lr:g}", setting.config.pool
        by_cell.setdefault(cell, []).append(setting.final("test_accuracy").mean)
    assert found == {cell: pytest.approx(max(means)) for cell, means in by_cell.items()}
    said = chart.draw(functools.partial(translate, "en"))["usermeta"]["note"]
    assert said == "each cell: the best over output channels"


def test_a_sweep_whose_runs_all_diverged_is_drawn():
    lost = [entry for entry in entries() if entry.diverged]
    drawn = sweep.pictures(Sweep(lost, ["lr", "channels"], Config()), "zh")
    assert drawn.keys() == {"curves.png", "rates.png", "settings.png", "map.png"}
    assert all(pixels(png).shape[0] > 100 for png in drawn.values())


def test_single_runs_are_thin_lines_and_many_are_a_band():
    def chart(runs: int) -> vega.Chart:
        group = {"all runs": [(seed, [0.1 * seed / runs, 0.5]) for seed in range(runs)]}
        return groups.epochs(group, groups.Labels("test_accuracy", (), {"all runs": ()}))

    few, many = chart(groups.MOST_SEEDS), chart(groups.MOST_SEEDS + 1)
    assert len(few.rows["runs"]) == 2 * groups.MOST_SEEDS
    assert many.rows["runs"] == []
    drawn = [len(marks(vega.svg([c]), "area mark")) for c in (few, many)]
    assert drawn == [0, 1]


def test_the_rates_that_were_tried_have_ticks_and_where_they_are_many_powers_of_ten():
    def ticks(rates: list[float]) -> set[str]:
        found = [record_rows.entry(i, [row(1, 0.5)], lr=lr) for i, lr in enumerate(rates)]
        return set(re.findall(r">([\d.]+)<", vega.svg([charts(found, ["lr"])["rates"]])))

    assert {"0.03", "0.07", "0.9"} <= ticks([0.03, 0.07, 0.9])
    many = ticks([0.013 * (1 + i) for i in range(100)])
    assert {"0.1", "1"} <= many
    assert "0.013" not in many


def test_the_published_band_is_the_published_runs():
    band = published.band()
    assert band.epochs == list(range(1, 11))
    assert all(a <= b <= c for a, b, c in zip(band.low, band.median, band.high, strict=True))
    assert published.band("mxnet").runs + published.band("tensorflow").runs + band.runs == 340
    chart = run.accuracies(ROWS, 10, band)
    assert [r["median"] for r in chart.rows["published_band"]] == band.median


def test_averaged_weights_have_a_curve_where_there_are_some():
    rows = [record_rows.row(n, averaged_loss=0.5, averaged_accuracy=0.7) for n in (1, 2)]
    for chart, value in ((run.losses(rows, 2), 0.5), (run.accuracies(rows, 2, None), 0.7)):
        points = next(iter(chart.rows.values()))
        found = [(x["epoch"], x["value"]) for x in points if x["series"] == "averaged"]
        assert found == [(1, value), (2, value)]
        assert "test, averaged weights" in chart.draw(str)["usermeta"]["names"]
    assert "test, averaged weights" not in run.losses(ROWS, 3).draw(str)["usermeta"]["names"]


def test_curves_are_drawn_without_matplotlib_and_jax():
    code = "import sys; from lenet.figures import comparison, run, sweep; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"matplotlib", "jax"} & set(done.stdout.split())


TWO_THREADS = """
import gc, itertools, threading, time
from lenet.figures import vega

def draw(t):  # another title each time, so that nothing is kept
    return vega.chart("c", next(titles), encoding={"x": vega.channel("x", "x")}, height=50,
                      layer=[vega.layer("point")])

titles = map(str, itertools.count())
gc.callbacks.append(lambda *_: time.sleep(0.001))  # another thread runs
gc.set_threshold(5)
page = threading.Thread(target=lambda: [vega.on_page(draw, ["en"]) for _ in range(5)])
page.start()
for _ in range(5):
    vega.png([vega.Chart(draw, {"c": [{"x": 1}]})])
page.join()
"""


def test_two_threads_may_draw_while_garbage_is_collected():
    """As a live page and the pictures of a sweep do; without care the process stands still."""
    subprocess.run([sys.executable, "-c", TWO_THREADS], check=True, timeout=300)


def test_every_field_of_a_run_has_a_term():
    fields = {field.name for field in Config.__dataclass_fields__.values()}
    assert fields <= TERMS.keys()
    chinese = functools.partial(translate, "zh")
    assert all(chinese(text) != text for text in TERMS.values())
    assert VALUES.keys() >= {"avg", "max", "relu"}


def flat(value: float, y: dict, names: int = 3) -> str:
    """The SVG of lines that are all constant, at one value."""
    rows = [
        {"series": f"s{i}", "epoch": epoch, "value": value}
        for i in range(names)
        for epoch in (1, 2)
    ]
    names_of = {f"s{i}": f"width {i} name" for i in range(names)}
    x = vega.channel("epoch", "epoch", axis=vega.WHOLE)

    def draw(t):
        shown = "format(datum.value, '.2f')"
        spec = vega.lines(
            "rows", "of width · pooling", x, vega.channel("value", "v", **y), names_of, shown
        )
        return spec

    return vega.svg([vega.Chart(draw, {"rows": rows})])


@pytest.mark.parametrize(
    "y",
    [
        {"scale": vega.NEAR},
        {"scale": {"zero": True}},
        {"scale": {"domain": [0, 1]}},
        {"scale": {"type": "log"}},
    ],
    ids=["near", "zero", "domain", "log"],
)
def test_names_at_the_ends_of_lines_stand_apart_and_change_no_axis(y):
    drawn = flat(0.995, y)
    names = re.findall(r'translate\(([\d.]+),([-\d.]+)\)"[^>]*>width (\d) name<', drawn)
    right = max(float(x) for x, _, _ in names)
    heights = sorted(float(height) for x, height, _ in names if float(x) == right)
    assert len(heights) == 3
    assert np.diff(heights).min() >= vega.NAME_HEIGHT - 0.1
    ticks = [float(tick) for tick in re.findall(r">(\d\.\d+)<", drawn)]
    assert not ticks or max(ticks) <= 1.0
    assert "Of width · pooling" in drawn  # a word, and no number of pixels


def test_a_map_is_labelled_in_what_contrasts_with_its_cell():
    spec = charts(entries(), ["lr", "pool"])["map"].draw(functools.partial(translate, "en"))
    (text,) = (each for each in spec["layer"] if each["mark"]["type"] == "text")
    assert set(re.findall(r"#\w+", text["encoding"]["color"]["value"]["expr"])) == {"#111", "#fff"}
