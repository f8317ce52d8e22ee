"""What a report says and what it lets nobody do; `test_report_browser` opens it."""

import base64
import copy
import dataclasses
import hashlib
import html
import io
import json
import re
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
from lenet.analysis import comparison
from lenet.analysis.summary import Sweep
from lenet.config import Config
from lenet.data import Data, Split, checksums
from lenet.errors import RecordError
from lenet.figures import sweep as sweep_charts
from lenet.figures.groups import interval
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
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.held: list[tuple[str, dict[str, str | None], str]] = []
        self._open: list[str] | None = None
        self.feed(content.decode())

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._open = []

    def handle_data(self, text):
        if self._open is not None:
            self._open.append(text)

    def handle_endtag(self, tag):
        if tag in ("script", "style") and self._open is not None:
            self.held.append((*self.elements[-1], "".join(self._open)))
            self._open = None

    @property
    def payload(self) -> dict:
        return next(
            json.loads(text) for tag, attrs, text in self.held if attrs.get("id") == "payload"
        )


@pytest.fixture(scope="module")
def noise() -> Data:
    return report_pages.data()


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
    asked = {"command": command, "runs": len(cells) + 1, "environment": {}, "flags": {}}
    return of_sweep.report("s", Sweep(entries, ["lr", "pool"], Config(epochs=2)), asked)


def compared() -> page.Report:
    def run(cell: comparison.Cell, lr: float, seed: int) -> comparison.Run:
        accuracies = [0.3, 0.5 + 0.01 * seed + 0.1 * (cell[0] == "relu")]
        return comparison.Run(
            activation=cell[0],
            pool=cell[1],
            lr=lr,
            seed=seed,
            valid_accuracy=accuracies,
            test_accuracy=accuracies,
            test_loss=[1.0, 0.9 + 0.01 * seed],
        )

    runs = comparison.Comparison(
        epochs=2,
        rates=[0.1, 1.0],
        tuning=[run(c, lr, 9) for c in comparison.CELLS for lr in (0.1, 1.0)],
        final=[run(c, 0.1, seed) for c in comparison.CELLS for seed in (0, 1, 2)],
        texts=[run(comparison.CELLS[0], 0.9, seed) for seed in (0, 1, 2)],
    )
    asked = {"command": "python -m experiments.compare", "settings": {"dataset": "noise"}}
    return of_comparison.report("c", asked | {"comparison": runs, "environment": {}})


@pytest.fixture(scope="module", params=["run", "sweep", "comparison"])
def rendered(request, of_noise) -> tuple[page.Report, bytes]:
    report = {"run": lambda: of_noise, "sweep": sweep, "comparison": compared}[request.param]()
    return report, page.render(report)


def test_the_policy_allows_the_page_s_own_scripts_and_style_and_nothing_else(rendered):
    parsed = Parsed(rendered[1])
    (policy,) = (
        attrs["content"]
        for tag, attrs in parsed.elements
        if attrs.get("http-equiv") == "Content-Security-Policy"
    )
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    assert "unsafe" not in policy
    run = [text for tag, attrs, text in parsed.held if attrs.get("type") == "module"]
    style = [text for tag, _, text in parsed.held if tag == "style"]
    for allowed, contents in ((rules["script-src"], run), (rules["style-src"], style)):
        digests = [base64.b64encode(hashlib.sha256(x.encode()).digest()).decode() for x in contents]
        assert allowed.split() == [f"'sha256-{digest}'" for digest in digests]


def test_nothing_is_fetched_and_nothing_is_styled_or_handled_inline(rendered):
    for tag, attrs in Parsed(rendered[1]).elements:
        assert tag not in ("link", "iframe", "object", "embed", "base", "form")
        for name, value in attrs.items():
            assert not name.startswith("on"), (tag, name)
            assert name != "style", tag
            if name in ("src", "href", "action", "data", "srcset"):
                assert value is not None
                assert value.startswith(("#", "data:")), (tag, value)


def test_names_from_outside_stay_text(rendered):
    content = rendered[1].decode()
    assert "<script>alert" not in content
    assert "<img src=x" not in content
    assert "<b>&" not in content
    assert "<i>" not in content
    tags = [tag for tag, _ in Parsed(rendered[1]).elements]
    assert tags.count("script") == 3  # the payload, Vega, ours
    assert "img" not in tags


def test_what_is_escaped_is_still_there(of_noise):
    parsed = Parsed(page.render(of_noise))
    assert parsed.payload["class_names"]["en"] == list(report_pages.NAMES)


def test_every_chart_is_drawn_by_vega_in_both_languages(rendered):
    report, _ = rendered
    whole = page.merged(report.parts)
    payload = Parsed(rendered[1]).payload
    assert whole.charts
    assert set(payload["charts"]) == set(whole.charts)
    for name, chart in payload["charts"].items():
        for language, spec in chart.items():
            spec["datasets"] = payload["data"]
            spec["width"] = 400
            colours = ("inkColour", "paperColour", "bandColour")
            spec["params"] = [{"name": c, "value": "#123456"} for c in colours]
            picture = vl_convert.vegalite_to_svg(json.dumps(spec))
            spec["datasets"] = {rows: [] for rows in payload["data"]}
            frame = vl_convert.vegalite_to_svg(json.dumps(spec))
            drawn, empty = (x.count("aria-label=") for x in (picture, frame))
            assert drawn > empty, (name, language)


def test_a_chart_of_the_page_is_one_that_the_template_has(rendered):
    parsed = Parsed(rendered[1])
    drawn = [attrs["data-chart"] for _, attrs in parsed.elements if "data-chart" in attrs]
    assert sorted(drawn) == sorted(parsed.payload["charts"])
    for _, attrs in parsed.elements:
        if "data-rows" in attrs:
            assert attrs["data-rows"] in parsed.payload["data"]


def test_every_link_of_the_contents_leads_somewhere(rendered):
    elements = Parsed(rendered[1]).elements
    ids = {attrs.get("id") for _, attrs in elements}
    links = [attrs["href"] for tag, attrs in elements if tag == "a"]
    assert len(links) > 3
    assert {link[1:] for link in links} <= ids


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
        charts = Parsed(page.render(report)).payload["charts"]
        assert charts
        for chart in charts.values():
            for title in re.findall(r'"(?:title|description)": "([^"]*)"', json.dumps(chart["zh"])):
                assert islands(json.loads(f'"{title}"')) == set()


def test_the_scripts_say_what_there_is_to_say_and_all_of_it():
    script = "".join((HERE / name).read_text() for name in page.SCRIPTS)
    said = re.findall(r'\b(?:say|spans)\("(\w+)"|\b(?:label|worded)\([\w.]+, "(\w+)"', script)
    assert said
    assert {key for pair in said for key in pair if key} <= names.SCRIPTS.keys()
    assert not [key for key in names.SCRIPTS if not re.search(rf"\b{key}\b", script)]


# ---- what it says of a run ----

ORDER = (
    *("curves", "published", "statistics", "layers", "play", "confusion", "mistakes", "kernels"),
    *("calibration", "robustness", "details"),
)


def test_sections_come_in_the_order_in_which_they_are_read(of_noise):
    parsed = Parsed(page.render(of_noise))
    sections = [attrs["id"] for tag, attrs in parsed.elements if tag == "section"]
    assert sections == [each for each in ORDER if each != "published"]
    links = [attrs["href"][1:] for tag, attrs in parsed.elements if tag == "a"]
    assert links[1:] == sections  # the first skips to the content


@pytest.mark.parametrize("language", words.LANGUAGES)
def test_the_tab_is_called_by_the_result(rendered, language):
    report, _ = rendered
    (shown,) = re.findall(r"<title>(.*)</title>", page.render(report, language).decode())
    result = words.translate(language, report.result)
    assert re.search(r"\d\.\d{3}", result)
    assert html.unescape(shown) == f"{result} · {report.title} · lenet"


def test_a_verdict_comes_before_the_numbers_of_a_run(noise):
    run = report_pages.run(report_pages.SMALL, noise)  # which guesses
    learned = [dataclasses.replace(row, train_loss=0.5, test_accuracy=0.8) for row in run.rows]
    for rows, said in (
        (run.rows, "Stuck at chance level: in epoch 2"),
        (learned, "Left the plateau at chance level (loss ln 4 = 1.386) in epoch 1"),
        (learned[:1], "Training is incomplete: results after 1 of 2 epochs. Left the plateau"),
    ):
        text = page.render(of_run.report(run._replace(rows=rows), None)).decode()
        assert said in text[text.index('class="verdict') : text.index('class="tiles"')]


def test_classes_of_a_known_dataset_have_chinese_names_and_others_their_own(noise):
    known = checksums.KNOWN["fashion_mnist"].class_names
    assert names.classes("fashion_mnist", known)["zh"][:3] == ["T恤", "裤子", "套衫"]
    mine = ["Bag", "epoch {n}"]
    assert names.classes("mine", mine) == {"en": mine, "zh": mine}
    assert names.classes("fashion_mnist", mine)["zh"] == mine


def test_pictures_are_found_where_the_page_looks_for_them(noise):
    payload = examples._pictures(noise.test, np.eye(4)[np.zeros(60, int)], 4).payload
    sheet = payload["sprite"]
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(sheet["uri"].split(",")[1]))))
    for at, tile in enumerate(payload["tiles"]):
        top, left = at // sheet["columns"] * 28, at % sheet["columns"] * 28
        image = noise.test.images[tile["index"], :, :, 0]
        assert (pixels[top : top + 28, left : left + 28] == image).all()
        assert tile["label"] == noise.test.labels[tile["index"]]
    for cell, places in payload["cells"].items():
        truth, taken = map(int, cell.split(","))
        for place in places:
            tile = payload["tiles"][place]
            assert (tile["label"], tile["predicted"]) == (truth, taken)


def test_a_cell_has_its_surest_pictures_and_all_cells_no_more_than_there_is_room_for():
    labels, predicted = np.zeros(100, int), np.repeat([0, 1], 50)
    sure = np.linspace(0, 1, 100)
    cells = examples._cells(labels, predicted, sure, most=1000)
    assert cells[0, 0] == list(range(49, 49 - examples.PER_CELL, -1))
    assert sum(map(len, examples._cells(labels, predicted, sure, most=10).values())) <= 10
    many = np.arange(100)
    assert len(examples._cells(many, many, sure, most=7)) == 7


def test_a_colour_set_has_pictures_too():
    data = report_pages.data((12, 14, 3))
    config = dataclasses.replace(report_pages.SMALL, kernel_size=3)
    content = page.render(of_run.report(report_pages.run(config, data), data))
    sheet = Parsed(content).payload["sprite"]
    picture = Image.open(io.BytesIO(base64.b64decode(sheet["uri"].split(",")[1])))
    assert picture.mode == "RGB"


def test_without_its_data_a_report_says_so_and_keeps_the_rest(noise):
    content = page.render(of_run.report(report_pages.run(report_pages.SMALL, noise), None, "GONE"))
    parsed = Parsed(content)
    ids = {attrs.get("id") for _, attrs in parsed.elements}
    assert {"curves", "kernels", "play", "details"} <= ids
    assert "confusion" not in ids
    assert b"GONE" in content
    assert parsed.payload["network"]["samples"] == []


def test_a_large_network_is_not_put_into_the_page(noise, monkeypatch):
    monkeypatch.setattr(network, "MOST_PARAMETERS", 100)
    content = page.render(of_run.report(report_pages.run(report_pages.SMALL, noise), noise))
    assert "network" not in Parsed(content).payload
    assert b"Too large to embed (over 100 parameters)" in content


@pytest.mark.slow
def test_a_report_at_its_largest_stays_below_eight_megabytes():
    """As many parameters as fit, and pictures of noise, which compression does not help."""
    config = dataclasses.replace(report_pages.SMALL, channels=(6, 16), hidden=(1900,))
    data = report_pages.data(count=3000)
    run = report_pages.run(config, data)
    assert 0.95 < sum(x.size for p in run.params.values() for x in p.values()) / 800_000 <= 1
    assert len(page.render(of_run.report(run, data))) < 8e6


def test_the_plateau_is_told_from_the_rows(noise):
    run = report_pages.run(report_pages.SMALL, noise)  # its losses are 1.38, of log 4 = 1.386
    found = of_run._plateau(run)
    assert found is not None
    assert (found["epochs"], found["hidden"], found["first"]) == (2, "dense1", "conv1")
    assert found["alike"]
    text = page.render(of_run.report(run, None)).decode()
    assert "Through epoch 2 the training loss stayed near 1.386, chance level" in text
    assert "little more than its biases" in text
    assert "on 60 training images" in text  # there are no more


def test_a_cause_is_named_only_where_the_numbers_show_it(noise):
    run = report_pages.run(report_pages.SMALL, noise)
    even = copy.deepcopy(run.statistics)
    for row in even:
        row["layers"]["dense1"]["across"] = 0.1
    stuck = run._replace(statistics=even)  # it guesses, but its units do tell images apart
    assert not of_run._plateau(stuck)["alike"]
    assert b"little more than its biases" not in page.render(of_run.report(stuck, None))
    learned = run._replace(rows=[dataclasses.replace(row, train_loss=0.5) for row in run.rows])
    assert of_run._plateau(learned)["epochs"] == 0
    assert b"fell below chance level (1.386) within" in page.render(of_run.report(learned, None))
    worse = run._replace(rows=[dataclasses.replace(row, train_loss=5.0) for row in run.rows])
    assert of_run._plateau(worse) is None
    assert of_run._plateau(run._replace(statistics=[])) is None
    assert of_run._plateau(run._replace(class_names=("one",))) is None


def test_a_run_that_is_not_finished_has_no_place_among_those_that_are():
    noise = report_pages.data()
    config = Config()  # the published experiment
    run = report_pages.run(config, noise)._replace(config=config)
    text = page.render(of_run.report(run, None)).decode()
    assert "Training is incomplete: results after 2 of 10 epochs." in text
    assert "of 199 PyTorch runs; training loss" not in text
    assert "published runs have 10 epochs; this run has 2" in text
    ten = [dataclasses.replace(run.rows[0], epoch=epoch) for epoch in range(1, 11)]
    text = page.render(of_run.report(run._replace(rows=ten), None)).decode()
    assert "incomplete" not in text
    assert "of 199 PyTorch runs; training loss" in text


def test_a_network_from_elsewhere_has_a_report_without_curves(noise):
    run = report_pages.run(report_pages.SMALL, noise)._replace(rows=[], statistics=[])
    content = page.render(of_run.report(run, noise))
    parsed = Parsed(content)
    ids = {attrs.get("id") for _, attrs in parsed.elements}
    assert {"confusion", "kernels", "play"} <= ids
    assert "curves" not in ids
    assert b"Imported network: no training records." in content


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


def test_a_sweep_of_very_many_settings_stays_small():
    content = page.render(sweep(draws=600))
    payload = Parsed(content).payload
    assert len(content) < 3e6
    assert len(payload["data"]["settings"]) == sweep_charts.MOST_SETTINGS
    assert b"The best 1000 of 1200 settings; summary.csv has all." in content


def test_a_sweep_with_a_validation_split_is_ranked_by_it():
    assert b"ranked by validation accuracy." in page.render(sweep(valid=True))


def test_an_interval_is_cut_to_what_an_accuracy_can_be():
    row = interval("x", [0.1, 0.9])
    assert (row["low"], row["high"]) == (0, 1)
    assert interval("x", [0.5])["low"] == 0.5


# ---- directories ----


def test_a_directory_that_holds_nothing_is_refused(tmp_path):
    with pytest.raises(RecordError, match="contains no run, sweep or comparison"):
        of_directory.report(tmp_path)


SWEEP = {"command": "x", "axes": {"lr": [0.1, 0.2]}, "preset": "book", "runs": 2, "flags": {}}
SWEEP |= {"environment": {}}
DAMAGE = {
    "command": 3,
    "axes": {"lr": 1},
    "preset": "none",
    "runs": "2",
    "flags": [],
    "environment": [],
}
SWEEP |= {"data": [{"name": "mine", "class_names": ["a", "b"]}]}


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_records_of_a_sweep_are_one_line(tmp_path, name):
    for damaged in (SWEEP | {name: DAMAGE[name]}, {k: v for k, v in SWEEP.items() if k != name}):
        files.write_json(tmp_path / "sweep.json", damaged)
        with pytest.raises(RecordError, match=rf"sweep.json: {name}"):
            of_directory.report(tmp_path)


@pytest.mark.parametrize("data", [3, [3], [{"name": "mine", "class_names": 2}]])
def test_damaged_data_of_a_sweep_are_one_line(tmp_path, data):
    files.write_json(tmp_path / "sweep.json", SWEEP | {"data": data})
    ledger.append(tmp_path / "runs.jsonl", [record_rows.entry(0, [record_rows.row()])])
    with pytest.raises(RecordError, match=r"sweep\.json: data"):
        of_directory.report(tmp_path)


def test_axes_of_no_sweep_and_a_ledger_without_runs_are_one_line(tmp_path):
    files.write_json(tmp_path / "sweep.json", SWEEP | {"axes": {"speed": [1, 2]}})
    with pytest.raises(RecordError, match="axes: not the axes of a sweep"):
        of_directory.report(tmp_path)
    files.write_json(tmp_path / "sweep.json", SWEEP)
    with pytest.raises(RecordError, match="no run of the sweep has finished"):
        of_directory.report(tmp_path)


@pytest.mark.parametrize("damage", [{"settings": []}, {"comparison": 3}, {"comparison": {}}])
def test_damaged_records_of_a_comparison_are_one_line(tmp_path, damage):
    record = json.loads((ROOT / "results" / "compare.json").read_bytes())
    files.write_json(tmp_path / "compare.json", record | damage)
    with pytest.raises(RecordError, match=r"compare\.json: "):
        of_directory.report(tmp_path)


def test_a_comparison_that_is_not_finished_says_how_to_go_on(tmp_path):
    record = {"command": "x", "settings": {}, "environment": {}}
    files.write_json(tmp_path / "compare.json", record)
    with pytest.raises(RecordError, match=r"To continue: .* --resume"):
        of_directory.report(tmp_path)


def test_the_recorded_comparison_makes_a_report(tmp_path):
    (tmp_path / "compare.json").write_bytes((ROOT / "results" / "compare.json").read_bytes())
    content = page.render(of_directory.report(tmp_path))
    assert "0.8648 ± 0.0093".encode() in content


@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_network_of_no_numbers_has_a_page_all_the_same(noise):
    run = report_pages.run(report_pages.SMALL, noise)
    broken = jax.tree.map(lambda x: x * np.float32("nan"), run.params)
    content = page.render(of_run.report(run._replace(params=broken), noise))
    assert Parsed(content).payload["network"]["samples"][0]["logits"] == [None] * 4


def test_large_images_leave_fewer_samples():
    assert network.SAMPLE_BYTES // (28 * 28) > network.MOST_SAMPLES
    run = report_pages.run(report_pages.SMALL, report_pages.data((200, 200, 3)))
    split = Split(np.zeros((40, 200, 200, 3), np.uint8), np.arange(40, dtype=np.int32) % 4)
    found = network._samples(run.model, run.params, split, 4)
    assert [each["label"] for each in found] == [0, 1, 2]


def test_a_split_of_one_class_has_samples():
    split = Split(np.zeros((2, 28, 28, 1), np.uint8), np.zeros(2, np.int32))
    run = report_pages.run(report_pages.SMALL, report_pages.data())
    assert [s["index"] for s in network._samples(run.model, run.params, split, 4)] == [0, 1]
