"""What a report says and what it lets nobody do; `test_report_browser` opens it."""

import base64
import copy
import dataclasses
import functools
import hashlib
import html
import io
import itertools
import json
import re
import zlib
from html.parser import HTMLParser
from pathlib import Path

import jax
import numpy as np
import pytest
import record_rows
import report_pages
import vl_convert
from chinese import islands
from PIL import Image

from lenet import files
from lenet import language as words
from lenet.analysis.summary import Sweep
from lenet.config import Config
from lenet.data import Data, Split
from lenet.errors import RecordError
from lenet.figures import sweep as sweep_charts
from lenet.figures import vega
from lenet.figures.groups import interval
from lenet.language import LANGUAGES
from lenet.records import ledger
from lenet.records.ledger import Entry
from lenet.report import (
    examples,
    names,
    network,
    of_comparison,
    of_directory,
    of_run,
    of_sweep,
    page,
)

HERE = Path(page.__file__).parent
ROOT = HERE.parent.parent


class Parsed(HTMLParser):
    """The elements of a page, and what its scripts and styles hold."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.content = content.decode()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        held = r"<(script|style)\b([^>]*)>(.*?)</\1>"
        self.held: list[tuple[str, str, str]] = re.findall(held, self.content, re.DOTALL)
        self.feed(self.content)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def values(self, name: str) -> list[str]:
        """What the attribute is, wherever it is given."""
        return [attrs[name] for _, attrs in self.elements if name in attrs]

    @property
    def payload(self) -> dict:
        return next(json.loads(text) for _, about, text in self.held if 'id="payload"' in about)

    def chart(self, name: str, language: str) -> dict:
        """The specification that the page gives to Vega, but for its rows."""
        chart = self.payload["charts"][name]
        for (*path, last), value in chart["words"][language]:
            functools.reduce(lambda part, key: part[key], path, chart["spec"])[last] = value
        return chart["spec"]


def parsed_of(run: of_run.Run, data: Data | None = None, why: str = "") -> Parsed:
    return Parsed(page.render(of_run.report(run, data, why)))


@pytest.fixture(scope="module")
def noise() -> Data:
    return report_pages.data()


@pytest.fixture(scope="module")
def run(noise) -> of_run.Run:
    """A run that stays at chance level: its losses are 1.38, of log 4 = 1.386."""
    return report_pages.run(report_pages.SMALL, noise)


def with_rows(run: of_run.Run, **numbers) -> of_run.Run:
    return run._replace(rows=[dataclasses.replace(row, **numbers) for row in run.rows])


@pytest.fixture(scope="module")
def of_noise(noise) -> page.Report:
    return of_run.report(report_pages.run(report_pages.SMALL, noise, "<b>&"), noise)


def sweep(*, valid: bool = False, draws: int = 0) -> page.Report:
    """Three rates, two poolings, two seeds; one rate diverged. Or so many other rates."""

    def entry(run: int, lr: float, pool: str, seed: int) -> Entry:
        rows = []
        for epoch in (1, 2):
            accuracy = 0.5 + 0.1 * lr + 0.01 * seed * epoch
            held_out = {"valid_accuracy": accuracy, "valid_loss": 1.0} if valid else {}
            rows.append(record_rows.row(epoch, test_accuracy=accuracy, **held_out))
        diverged = "=cmd() <i>" if lr > 1 else None
        return record_rows.entry(run, rows, diverged, lr=lr, pool=pool, seed=seed, epochs=2)

    rates = [i / (2 * draws) for i in range(1, draws + 1)] or [0.1, 0.9, 2.0]
    cells = [(lr, p, seed) for lr in rates for p in ("avg", "max") for seed in (0, 1)]
    entries = [entry(run, *cell) for run, cell in enumerate(cells)]
    command = "python -m experiments.sweep <x>"
    asked = {"command": command, "runs": len(cells) + 1, "environment": {"cores": 2}, "flags": {}}
    asked["resumed"] = [{"finished_before": 5, "environment": {"cores": 16}}]
    return of_sweep.report("s", Sweep(entries, ["lr", "pool"], Config(epochs=2)), asked)


def compared() -> page.Report:
    return of_comparison.report("c", of_comparison_record())


@functools.cache
def of_comparison_record() -> dict:
    return {
        "command": "python -m experiments.compare",
        "design": record_rows.PLANNED.to_dict(),
        "registered": {"commit": "0123456789abcdef", "date": "2026-01-01"},
        "sessions": [{"began": "2026-01-02"}],
        "environment": {},
        "comparison": record_rows.compared(),
    }


@pytest.fixture(scope="module", params=["run", "sweep", "comparison"])
def report(request, of_noise) -> page.Report:
    return {"run": lambda: of_noise, "sweep": sweep, "comparison": compared}[request.param]()


@pytest.fixture(scope="module")
def parsed(report) -> Parsed:
    return Parsed(page.render(report))


def test_the_policy_allows_the_page_s_own_scripts_and_style_and_nothing_else(parsed):
    (policy,) = (
        attrs["content"]
        for _, attrs in parsed.elements
        if attrs.get("http-equiv") == "Content-Security-Policy"
    )
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    assert "unsafe" not in policy
    (packed,) = (text for _, about, text in parsed.held if 'id="vega"' in about)
    run = [zlib.decompress(base64.b64decode(packed)).decode()]  # the page unpacks it
    run += [text for _, about, text in parsed.held if 'type="module"' in about]
    style = [text for tag, _, text in parsed.held if tag == "style"]
    for allowed, contents in ((rules["script-src"], run), (rules["style-src"], style)):
        digests = [base64.b64encode(hashlib.sha256(x.encode()).digest()).decode() for x in contents]
        assert allowed.split() == [f"'sha256-{digest}'" for digest in digests]


def test_nothing_is_fetched_and_nothing_is_styled_or_handled_inline(parsed):
    for tag, attrs in parsed.elements:
        assert tag not in ("link", "iframe", "object", "embed", "base", "form")
        for name, value in attrs.items():
            assert not name.startswith("on"), (tag, name)
            assert name != "style", tag
            if name in ("src", "href", "action", "data", "srcset"):
                assert value is not None
                assert value.startswith(("#", "data:")), (tag, value)


def test_names_from_outside_stay_text(parsed):
    for markup in ("<script>alert", "<img src=x", "<b>&", "<i>"):
        assert markup not in parsed.content
    tags = [tag for tag, _ in parsed.elements]
    assert tags.count("script") == 3  # the payload, Vega (packed), ours
    assert all(source.startswith("data:image/png") for source in parsed.values("src"))


def test_every_chart_is_drawn_by_vega_in_both_languages(report, parsed):
    charts, payload = page.merged(report.parts).charts, parsed.payload
    assert charts
    assert payload["charts"].keys() == charts.keys()
    for name in {"losses", "accuracies"} & payload["data"].keys():  # and those of a second run
        rows = [row | {"series": f"other_{row['series']}"} for row in payload["data"][name]]
        payload["data"][f"both_{name}"] = rows
    for name, language in itertools.product(payload["charts"], LANGUAGES):
        spec = parsed.chart(name, language)

        spec["signals"] = [each for each in spec["signals"] if each["name"] != "width"]
        spec["width"] = 400  # of the page it would ask its container
        with_rows, without = copy.deepcopy(spec), copy.deepcopy(spec)
        for each in with_rows["data"]:
            if each["name"] in payload["data"]:
                each["values"] = payload["data"][each["name"]]
        drawn, empty = (
            len(re.findall("<path|<text", vl_convert.vega_to_svg(x))) for x in (with_rows, without)
        )
        assert drawn > empty, (name, language)


WHISKER = re.compile(
    r">([−+]?[\d.]+)(?: \[([−+]?[\d.]+), ([−+]?[\d.]+)\])?\s*<svg class=\"whisker.*?</svg>",
    re.DOTALL,
)


@pytest.mark.parametrize("make", [sweep, compared])
def test_intervals_of_a_page_s_tables_are_drawn_on_one_scale(make):
    """Where a number is, is the same linear function of it in every row, of wide ones another."""
    content = page.render(make()).decode()
    drawn = list(WHISKER.finditer(content))
    assert len(drawn) == content.count('class="whisker')
    for wide in sorted({"whisker wide" in found[0] for found in drawn}):
        on_one_scale([found for found in drawn if ("whisker wide" in found[0]) == wide])


def on_one_scale(drawn):
    numbers, places = [], []
    for found in drawn:
        line = re.search(r'd="M([\d.]+) 6H([\d.]+)"', found[0])
        dot = re.search(r'cx="([\d.]+)"', found[0])
        said = [float(each.replace("−", "-")) for each in found.groups() if each]
        assert (line is not None) == (len(said) == 3)
        numbers += said
        places += [float(dot[1]), *(map(float, line.groups()) if line else ())]
    assert len(set(numbers)) > 1
    slope, offset = np.polyfit(numbers, places, 1)
    assert slope > 0
    np.testing.assert_allclose(places, slope * np.array(numbers) + offset, atol=0.2)


def test_a_comparison_shows_its_four_networks_as_a_square():
    page_of = Parsed(page.render(compared())).content
    square = page_of[page_of.index('<table class="square">') :]
    square = square[: square.index("</table>")]
    assert re.findall(r"<strong>([\d.]+%)</strong>", square) == ["61.0%", "71.0%", "71.0%", "81.0%"]
    assert "collapsed" not in square


def test_a_page_of_a_sweep_is_light():
    assert len(page.render(sweep())) < 600_000


def test_a_chart_in_another_language_is_what_vega_lite_makes_of_it(report, parsed):
    for name, chart in page.merged(report.parts).charts.items():
        for language in LANGUAGES:
            direct = vega.on_page(chart.draw, [language])["spec"]
            assert parsed.chart(name, language) == direct


def test_a_chart_of_the_page_is_one_that_the_template_has(parsed):
    assert sorted(parsed.values("data-chart")) == sorted(parsed.payload["charts"])
    assert set(parsed.values("data-rows")) <= parsed.payload["data"].keys()


def test_every_link_of_the_contents_leads_somewhere(parsed):
    links = [attrs["href"] for tag, attrs in parsed.elements if tag == "a"]
    assert len(links) > 3
    assert {link[1:] for link in links} <= set(parsed.values("id"))


# ---- language ----


def test_all_that_a_page_says_is_there_in_chinese(monkeypatch, of_noise):
    """Be it in a template, a chart, a verdict or a script."""
    asked: set[str] = set()
    known = words._catalogue()

    class Asked(dict):
        def get(self, text, other=None):
            asked.add(text)
            return known.get(text, other)

    monkeypatch.setattr(words, "_catalogue", lambda: Asked())
    for report in (of_noise, sweep(), sweep(valid=True), compared()):
        page.render(report)
    assert len(asked) > 150
    alike = {" + ", "Fashion-MNIST", "ReLU", "n", "{text}"}  # in both languages
    assert asked - known.keys() == alike


def test_a_page_in_chinese_holds_no_english_that_has_a_chinese(of_noise):
    for report in (of_noise, sweep(), compared()):
        html = page.render(report, "zh").decode()
        body = re.sub(r"<(script|style|code|pre)\b.*?</\1>", "", html, flags=re.DOTALL)
        chinese = re.sub(r'<span lang="en">.*?</span>', "", body, flags=re.DOTALL)
        assert islands(chinese) <= {"noise", "Coat", "Pullover"}  # the data, and its classes
        parsed = Parsed(page.render(report))
        assert parsed.payload["charts"]
        for name in parsed.payload["charts"]:
            chart = json.dumps(parsed.chart(name, "zh"))
            for title in re.findall(r'"(?:title|description)": "([^"]*)"', chart):
                assert islands(json.loads(f'"{title}"')) == set()


def test_the_scripts_say_what_there_is_to_say_and_all_of_it():
    script = "".join((HERE / name).read_text() for name in (*page.SCRIPTS, page.LIVE))
    said = re.findall(r'\b(?:say|spans)\("(\w+)"|\b(?:label|worded)\([\w.]+, "(\w+)"', script)
    assert said
    assert {key for pair in said for key in pair if key} <= names.SCRIPTS.keys()
    assert not [key for key in names.SCRIPTS if not re.search(rf"\b{key}\b", script)]


# ---- what it says of a run ----

ORDER = (
    *(
        "curves",
        "time",
        "published",
        "statistics",
        "layers",
        "play",
        "confusion",
        "mistakes",
        "plane",
    ),
    *("kernels", "calibration", "robustness", "second", "details"),
)


def test_sections_come_in_the_order_in_which_they_are_read(of_noise):
    parsed = Parsed(page.render(of_noise))
    sections = [attrs["id"] for tag, attrs in parsed.elements if tag == "section"]
    assert sections == [each for each in ORDER if each != "published"]
    links = [attrs["href"][1:] for tag, attrs in parsed.elements if tag == "a"]
    assert links[1:] == sections  # the first skips to the content


@pytest.mark.parametrize("language", words.LANGUAGES)
def test_the_tab_and_the_headline_name_the_result(report, language):
    content = page.render(report, language).decode()
    (shown,) = re.findall(r"<title>(.*)</title>", content)
    result = words.translate(language, report.result)
    assert re.search(r"\d\.\d{3}", result)
    assert html.unescape(shown) == f"{result} · {report.title} · lenet"
    (headline,) = re.findall(rf'<h1>.*<span lang="{language}">(.*?)</span>', content)
    assert html.unescape(headline).endswith(result)


def test_a_verdict_comes_before_the_numbers_of_a_run(run):
    learned = with_rows(run, train_loss=0.5, test_accuracy=0.8)
    for shown, said in (
        (run, "Stuck at chance level: in epoch 2"),
        (learned, "Learned from the first epoch: test accuracy 0.800."),
        (
            learned._replace(rows=learned.rows[:1]),
            "Training is incomplete: results after 1 of 2 epochs. Learned from the",
        ),
    ):
        text = parsed_of(shown).content
        assert said in text[text.index('class="verdict') : text.index('class="tiles"')]


def test_classes_that_are_not_the_dataset_s_keep_their_names():
    mine = ["Bag", "epoch {n}"]
    for dataset in ("mine", "fashion_mnist"):
        assert names.classes(dataset, mine) == {"en": mine, "zh": mine}


def picture(sheet: dict) -> Image.Image:
    """All pictures of a page, as one."""
    return Image.open(io.BytesIO(base64.b64decode(sheet["uri"].split(",")[1])))


def test_pictures_are_found_where_the_page_looks_for_them(noise, of_noise):
    payload = Parsed(page.render(of_noise)).payload
    assert payload["class_names"]["en"] == list(report_pages.NAMES)  # as they are, unescaped
    pixels, columns = np.asarray(picture(payload["sprite"])), payload["sprite"]["columns"]
    for at, (index, label, _, _) in enumerate(payload["tiles"]):
        top, left = at // columns * 28, at % columns * 28
        image = noise.test.images[index, :, :, 0]
        assert (pixels[top : top + 28, left : left + 28] == image).all()
        assert label == noise.test.labels[index]
    for cell, places in payload["cells"].items():
        truth, taken = map(int, cell.split(","))
        for place in places:
            assert payload["tiles"][place][1:3] == [truth, taken]


def test_a_cell_has_its_surest_pictures_and_all_cells_no_more_than_there_is_room_for():
    labels, predicted = np.zeros(100, int), np.repeat([0, 1], 50)
    sure = np.linspace(0, 1, 100)
    cells = examples._cells(labels, predicted, sure, most=1000)
    assert cells[0, 0] == list(range(49, 49 - examples.PER_CELL, -1))
    assert sum(map(len, examples._cells(labels, predicted, sure, most=10).values())) <= 10
    many = np.arange(100)
    assert len(examples._cells(many, many, sure, most=7)) == 7


def test_a_colour_set_has_pictures_too():
    images = report_pages.data((12, 14, 3)).test.images
    assert (np.asarray(picture(examples.sprite(images[:1]))) == images[0]).all()


@pytest.mark.parametrize(
    ("change", "with_data", "there", "said"),
    [
        ({}, False, {"curves", "kernels", "play", "details"}, "GONE"),
        (
            {"rows": [], "statistics": []},
            True,
            {"confusion", "kernels", "play"},
            "Imported network: no training records.",
        ),
    ],
    ids=["data", "records"],
)
def test_without_its_data_or_records_a_report_says_so_and_keeps_the_rest(
    run, noise, change, with_data, there, said
):
    parsed = parsed_of(run._replace(**change), noise if with_data else None, "GONE")
    assert said in parsed.content
    ids = set(parsed.values("id"))
    assert there <= ids
    assert ("confusion" in ids, "curves" in ids) == (with_data, not change)
    assert bool(parsed.payload["network"]["samples"]) == with_data


def test_a_large_network_is_not_put_into_the_page(run, noise, monkeypatch):
    monkeypatch.setattr(network, "MOST_PARAMETERS", 100)
    parsed = parsed_of(run, noise)
    assert "network" not in parsed.payload
    assert "Too large to embed (over 100 parameters)" in parsed.content


@pytest.mark.slow
def test_a_report_at_its_largest_stays_below_eight_megabytes():
    """As many parameters as fit, and pictures of noise, which compression does not help."""
    config = dataclasses.replace(report_pages.SMALL, channels=(6, 16), hidden=(1900,))
    data = report_pages.data(count=3000)
    run = report_pages.run(config, data)
    assert 0.95 < sum(x.size for p in run.params.values() for x in p.values()) / 800_000 <= 1
    assert len(page.render(of_run.report(run, data))) < 8e6


def plateau(run: of_run.Run) -> dict | None:
    """What the page tells of the epochs at chance level."""
    return page.merged(of_run.report(run, None).parts).values["plateau"]


def test_the_plateau_is_told_from_the_rows(run):
    found = plateau(run)
    assert (found["epochs"], found["hidden"], found["first"]) == (2, "dense1", "conv1")
    assert found["alike"]
    text = parsed_of(run).content
    assert "Through epoch 2 the training loss stayed near 1.386, chance level" in text
    assert "little more than its biases" in text
    assert "on 60 training images" in text  # there are no more


def test_a_cause_is_named_only_where_the_numbers_show_it(run):
    stuck = run._replace(statistics=copy.deepcopy(run.statistics))
    for row in stuck.statistics:  # it guesses, but its units do tell images apart
        row["layers"]["dense1"]["across"] = 0.1
    assert not plateau(stuck)["alike"]
    assert "little more than its biases" not in parsed_of(stuck).content
    learned = with_rows(run, train_loss=0.5)
    assert plateau(learned)["epochs"] == 0
    assert plateau(run._replace(rows=[run.rows[0], learned.rows[1]]))["epochs"] == 1
    assert "fell below chance level (1.386) within" in parsed_of(learned).content
    assert plateau(with_rows(run, train_loss=5.0)) is None
    assert plateau(run._replace(statistics=[])) is None
    assert plateau(run._replace(class_names=("one",))) is None


def test_a_run_that_is_not_finished_has_no_place_among_those_that_are(noise):
    config = Config()  # the published experiment
    run = report_pages.run(config, noise)
    text = parsed_of(run).content
    assert "Training is incomplete: results after 2 of 10 epochs." in text
    assert "of 199 PyTorch runs; training loss" not in text
    assert "published runs have 10 epochs; this run has 2" in text
    ten = [dataclasses.replace(run.rows[0], epoch=epoch) for epoch in range(1, 11)]
    text = parsed_of(run._replace(rows=ten)).content
    assert "incomplete" not in text
    assert "of 199 PyTorch runs; training loss" in text


def test_sweaters_and_coats_come_first_where_there_are_images_of_them():
    assert network.chosen(("Coat", "Bag", "Pullover"), {0, 1, 2}) == (2, 0)
    assert network.chosen(("Coat", "Bag", "Pullover"), {0, 1}) == (0, 1)
    assert network.chosen(("0", "1", "2"), {1, 2}) == (1, 2)
    assert network.chosen(("one",), set()) == (0, 0)


def test_very_many_classes_make_a_page_all_the_same():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2000, 300).astype(np.int32)
    split = Split(np.zeros((300, 12, 12, 1), np.uint8), labels)
    found = examples._pictures(split, np.eye(2000)[rng.integers(0, 2000, 300)], 2000)
    assert len(json.dumps(found.payload)) < 200_000
    assert sum(found.payload["counts"].values()) == 300


def test_pictures_too_large_for_the_page_are_few():
    split = Split(np.zeros((2, 1400, 1400, 1), np.uint8), np.zeros(2, np.int32))
    found = examples._pictures(split, np.eye(2)[[0, 0]], 2)
    assert len(found.payload["tiles"]) == 1


def test_a_sweep_that_went_on_elsewhere_says_so():
    html = page.render(sweep(), "en").decode()
    _, said = html.split("After 5 finished runs the environment changed:")
    assert "<code>cores 2, now 16</code></p>" in said


@pytest.mark.slow
def test_a_sweep_of_very_many_settings_stays_small():
    content = page.render(sweep(draws=501))
    payload = Parsed(content).payload
    assert len(content) < 3e6
    assert len(payload["data"]["settings"]) == sweep_charts.MOST_SETTINGS
    assert b"The best 1000 of 1002 settings; summary.csv has all." in content


def test_a_sweep_with_a_validation_split_is_ranked_by_it():
    assert b"ranked by validation accuracy." in page.render(sweep(valid=True))


def test_an_interval_is_cut_to_what_an_accuracy_can_be():
    row = interval("x", [0.1, 0.9])
    assert (row["low"], row["high"]) == (0, 1)
    assert interval("x", [0.5])["low"] == 0.5


# ---- directories ----


def test_a_directory_that_holds_nothing_is_refused(tmp_path):
    with pytest.raises(RecordError, match="contains no run, sweep, comparison or search"):
        of_directory.report(tmp_path)


SWEEP = {"command": "x", "axes": {"lr": [0.1, 0.2]}, "preset": "book", "runs": 2, "flags": {}}
SWEEP |= {"environment": {}, "data": [{"name": "mine", "class_names": ["a", "b"]}]}
DAMAGE = [
    *(("command", 3), ("axes", {"lr": 1}), ("axes", {"speed": [1, 2]}), ("preset", "none")),
    *(("runs", "2"), ("flags", []), ("environment", [])),
    *(("data", 3), ("data", [3]), ("data", [{"name": "mine", "class_names": 2}])),
]


def write_sweep(run_dir: Path, record: dict) -> None:
    """Write the records of a sweep of which one run is over."""
    files.write_json(run_dir / "sweep.json", record)
    ledger.append(run_dir / "runs.jsonl", [record_rows.entry(0, [record_rows.row()])])


@pytest.mark.parametrize(("name", "damage"), DAMAGE)
def test_damaged_records_of_a_sweep_are_one_line(tmp_path, name, damage):
    write_sweep(tmp_path, SWEEP | {name: damage})
    with pytest.raises(RecordError, match=rf"sweep.json: {name}"):
        of_directory.report(tmp_path)


@pytest.mark.parametrize("name", [name for name in SWEEP if name != "data"])
def test_records_of_a_sweep_that_lack_a_part_are_one_line(tmp_path, name):
    write_sweep(tmp_path, {key: value for key, value in SWEEP.items() if key != name})
    with pytest.raises(RecordError, match=rf"sweep.json: {name}"):
        of_directory.report(tmp_path)


def test_a_sweep_without_runs_is_one_line(tmp_path):
    files.write_json(tmp_path / "sweep.json", SWEEP)
    with pytest.raises(RecordError, match="no run of the sweep has finished"):
        of_directory.report(tmp_path)


@pytest.mark.parametrize(
    "damage", [{"design": []}, {"sessions": {}}, {"comparison": 3}, {"comparison": {}}]
)
def test_damaged_records_of_a_comparison_are_one_line(tmp_path, damage):
    files.write_json(tmp_path / "compare.json", of_comparison_record() | damage)
    with pytest.raises(RecordError, match=r"compare\.json: "):
        of_directory.report(tmp_path)


def test_a_comparison_that_is_not_finished_says_how_to_go_on(tmp_path):
    record = of_comparison_record() | {}
    del record["comparison"]
    files.write_json(tmp_path / "compare.json", record)
    with pytest.raises(RecordError, match=r"To continue: .* --resume"):
        of_directory.report(tmp_path)


def test_the_record_of_a_comparison_makes_a_report(tmp_path):
    files.write_json(tmp_path / "compare.json", of_comparison_record())
    content = page.render(of_directory.report(tmp_path)).decode()
    assert "ReLU raises the median test accuracy: +0.1000" in content
    assert "0/3 [0%, 56%]" in content


@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_network_of_no_numbers_has_a_page_all_the_same(run, noise):
    broken = jax.tree.map(lambda x: x * np.float32("nan"), run.params)
    parsed = parsed_of(run._replace(params=broken), noise)
    assert parsed.payload["network"]["samples"][0]["logits"] == [None] * 4


def test_large_images_leave_fewer_samples(run, noise, monkeypatch):
    assert network.SAMPLE_BYTES // (28 * 28) > network.MOST_SAMPLES
    monkeypatch.setattr(network, "SAMPLE_BYTES", 3 * 28 * 28)
    samples = parsed_of(run, noise).payload["network"]["samples"]
    assert [each["label"] for each in samples] == [0, 1, 2]


def test_a_split_of_one_class_has_samples(run, noise):
    one = noise.test._replace(labels=np.zeros_like(noise.test.labels))
    samples = parsed_of(run, dataclasses.replace(noise, test=one)).payload["network"]["samples"]
    assert [each["index"] for each in samples[:2]] == [0, 1]
