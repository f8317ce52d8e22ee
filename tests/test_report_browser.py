"""Reports in a real browser, opened from the disk as a person opens them."""

import base64
import csv
import dataclasses
import io
import itertools
import re
from pathlib import Path
from xml.etree import ElementTree

import jax
import numpy as np
import pytest
import record_rows
import report_pages
from commands import command, python
from flax import linen as nn
from PIL import Image, PngImagePlugin
from test_chain import Built, built
from test_diagnostics import Residual
from test_report import compared, sweep

from lenet import data, inspect, records
from lenet.analysis.summary import Sweep
from lenet.config import BNLeNet, Config
from lenet.data import Data, pictures
from lenet.engine import forward
from lenet.errors import DataError
from lenet.inspect.activations import activations
from lenet.report import examples, of_run, of_sweep, page


@pytest.fixture
def opened(browser):
    """A function that opens a page; what it complains of or asks for fails the test."""
    complaints: list[str] = []
    contexts = []

    def open_(path: Path, fragment: str = "", **options):
        # Else the page glides to what a test looks at, and a box is measured on the way.
        options = {"reduced_motion": "reduce", "viewport": {"width": 1200, "height": 900}} | options
        contexts.append(browser.new_context(**options))
        tab = contexts[-1].new_page()
        tab.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        tab.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        tab.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
        tab.on(
            "request",
            lambda request: (
                complaints.append(f"request: {request.url[:80]}")
                if not request.url.startswith(("data:", "blob:", path.as_uri()))
                else None
            ),
        )
        tab.goto(f"{path.as_uri()}#{fragment}", timeout=60_000)
        tab.wait_for_selector("html[data-ready]", timeout=60_000)
        return tab

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture(scope="module")
def noise() -> Data:
    return report_pages.data()


@pytest.fixture(scope="module")
def report(noise, tmp_path_factory) -> Path:
    """The page of a run whose classes and directory have names that would do something."""
    made = of_run.report(report_pages.run(report_pages.SMALL, noise, "<b>run</b>"), noise)
    return report_pages.write(tmp_path_factory.mktemp("report") / "r \u8bad\u7ec3.html", made)


@pytest.fixture
def tab(opened, report):
    return opened(report)


@pytest.fixture
def own(tab):
    """The part of the page where one draws or opens a picture."""
    return tab.locator('.view[data-view="own"]')


@pytest.fixture
def open_run(opened, tmp_path):
    """A function that opens the page of a run of these settings on these images."""

    def open_(of: Data, with_data: bool = True, **settings):
        run = report_pages.run(dataclasses.replace(report_pages.SMALL, **settings), of)
        made = of_run.report(run, of if with_data else None)
        return opened(report_pages.write(tmp_path / "report.html", made)), run

    return open_


OWN = built(
    ("conv 4 3 2", "max 2 2", "relu", "conv 3", "norm", "flatten", "dense 6", "tanh", "dense 4")
)


AFTER = Built(
    "conv 4; relu; norm; wide 3 1; conv 3; avg 2 2; tanh; avg 3 2 1; flatten; sigmoid; norm; relu; "
    "dense 4"
)


def logits(tab, images: np.ndarray) -> np.ndarray:
    flat = images.reshape(len(images), -1).tolist()
    return np.array(tab.evaluate("images => images.map(window.lenet.logits)", flat))


@pytest.mark.parametrize(
    ("settings", "shape"),
    [
        pytest.param({}, (28, 28, 1), id="sigmoid, average"),
        pytest.param(
            {"activation": "relu", "pool": "max", "init": "he_normal"},
            (28, 28, 1),
            id="ReLU, max",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"activation": "tanh", "kernel_size": 4},
            (21, 18, 1),
            id="tanh, even window",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"kernel_size": 3, "channels": (4,)}, (12, 14, 3), id="colours", marks=pytest.mark.slow
        ),
        pytest.param(
            {"kernel_size": 3, "channels": (2, 3, 4)},
            (32, 32, 1),
            id="three convolutions",
            marks=pytest.mark.slow,
        ),
        pytest.param({"hidden": ()}, (28, 28, 1), id="no hidden layer", marks=pytest.mark.slow),
        pytest.param(
            {"network": BNLeNet(pool="max")},
            (28, 28, 1),
            id="batch normalisation",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"network": OWN}, (12, 13, 2), id="a network of the user's", marks=pytest.mark.slow
        ),
        pytest.param({"network": AFTER}, (11, 10, 1), id="normalised after its activations"),
    ],
)
def test_the_browser_s_logits_are_jax_s(open_run, settings, shape):
    of = report_pages.data(shape)
    tab, run = open_run(of, with_data=False, **settings)
    expected = inspect.logits(run.model, run.params, of.test.images)
    np.testing.assert_allclose(logits(tab, of.test.images), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, id="sigmoid, average", marks=pytest.mark.slow),
        pytest.param({"activation": "relu", "pool": "max", "init": "he_normal"}, id="ReLU, max"),
        pytest.param({"activation": "tanh"}, id="tanh", marks=pytest.mark.slow),
    ],
)
def test_what_explains_an_answer_is_what_jax_finds(open_run, settings):
    """The gradient is that of automatic differentiation, and occlusion that of covered images; a
    channel that is switched off is one whose kernels lead nowhere.
    """
    of = report_pages.data()
    tab, run = open_run(of, with_data=False, **settings)
    image, k = of.test.images[0].astype(np.float32) / 255, 2

    @jax.jit
    def logit(x):
        return forward.apply(run.model, run.params, x)[:, k]

    call = "([name, ...values]) => window.lenet[name](...values)"
    pixels = of.test.images[0].ravel().tolist()
    slopes = jax.jit(jax.grad(lambda x: logit(x)[0]))(image[None])[0]
    np.testing.assert_allclose(
        tab.evaluate(call, ["gradient", pixels, k]), slopes.ravel(), atol=1e-5, rtol=1e-4
    )
    reach = explained_reach()
    hidden = np.repeat(image[None], 28 * 28, 0)
    for i, j in itertools.product(range(28), repeat=2):
        rows, columns = (slice(max(x - reach, 0), x + reach + 1) for x in (i, j))
        hidden[28 * i + j, rows, columns] = 0
    np.testing.assert_allclose(
        tab.evaluate(call, ["occlusion", pixels, k]), logit(image[None]) - logit(hidden), atol=1e-4
    )
    cut = jax.tree.map(np.array, run.params)
    cut["conv2"]["kernel"][:, :, 1] = 0  # what reads channel 1 of conv1, through a pooling
    off = tab.evaluate(call, ["without", pixels, [{"layer": 1, "channel": 1}]])
    expected = jax.jit(lambda p, x: forward.apply(run.model, p, x))(cut, image[None])[0]
    np.testing.assert_allclose(off, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        pytest.param(BNLeNet("max"), (28, 28, 1), marks=pytest.mark.slow),
        pytest.param(OWN, (12, 13, 2), marks=pytest.mark.slow),
        (AFTER, (11, 10, 1)),
    ],
)
def test_the_gradient_of_another_network_is_jax_s(open_run, network, shape):
    """Through strides, normalisation and a ReLU after a maximum."""
    of = report_pages.data(shape)
    tab, run = open_run(of, with_data=False, network=network)
    image = of.test.images[0].astype(np.float32) / 255
    answer = jax.grad(lambda x: forward.apply(run.model, run.params, x)[0, 2])
    slopes = jax.jit(answer)(image[None])[0]
    pixels = of.test.images[0].ravel().tolist()
    found = tab.evaluate("pixels => window.lenet.gradient(pixels, 2)", pixels)
    np.testing.assert_allclose(found, slopes.ravel(), atol=1e-5, rtol=1e-4)


def explained_reach() -> int:
    """How far the patch of occlusion reaches from its middle."""
    source = (Path(page.__file__).parent / "explain.js").read_text(encoding="utf-8")
    return (int(re.search(r"const PATCH = (\d+);", source)[1]) - 1) // 2


def test_a_unit_that_is_clicked_is_taken_apart(open_run):
    """Its products, bias and activation give its value, in every kind of layer."""
    of = report_pages.data()
    tab, _ = open_run(of, activation="tanh")
    own = tab.locator('.view[data-view="own"]')
    names = [layer["name"] for layer in tab.evaluate("window.lenet.network.layers")]
    assert names == ["conv1", "pool1", "conv2", "pool2", "dense1", "dense2"]
    apart = own.locator(".apart")
    for at, name in enumerate(names):
        own.locator(".layer canvas").nth(at).click(position={"x": 6, "y": 6})
        said = apart.inner_text()
        window = apart.locator("td").all_inner_texts()
        assert said.startswith(name)
        assert name in own.locator(".readout").inner_text()  # nothing has moved
        apart.get_by_role("button", name="close").click()
        assert apart.is_hidden()
        numbers = [
            float(x) for x in re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?", said.replace("−", "-"))
        ]
        if name.startswith("pool"):
            assert len(window) == 4
            mean = np.mean([float(x.replace("−", "-")) for x in window])
            assert abs(mean - numbers[-1]) < 0.01
            continue
        total, bias, before = re.search(
            r"products (\S+) \+ bias (\S+) = ([^;\s]+)", said.replace("−", "-")
        ).groups()
        assert abs(float(total) + float(bias) - float(before)) < 0.01
        if name != names[-1]:
            assert abs(np.tanh(float(before)) - numbers[-1]) < 0.01
    before = own.locator(".bars").inner_text()
    own.locator(".layer canvas").nth(0).click(position={"x": 6, "y": 6})
    apart.get_by_role("button", name="switch channel off").click()
    assert own.locator(".bars").inner_text() != before
    own.locator(".silent").get_by_role("button", name="switch all on").click()
    assert own.locator(".bars").inner_text() == before
    own.locator(".layer canvas").nth(0).press("Escape")
    assert apart.is_hidden()


def test_a_painted_kernel_changes_the_network_until_it_is_restored(open_run):
    of = report_pages.data()
    tab, run = open_run(of, with_data=False)
    images = of.test.images[:2]
    own = tab.locator('.view[data-view="own"]')
    own.locator(".layer canvas").first.click(position={"x": 6, "y": 6})
    weights = own.locator(".apart table[role]")
    weights.press("+")
    weights.press("ArrowRight")
    weights.press("ArrowDown")
    weights.press("-")
    weights.locator("td").last.click(button="right")
    tab.evaluate("() => new Promise(requestAnimationFrame)")
    painted = jax.tree.map(np.array, run.params)
    kernel = painted["conv1"]["kernel"]
    step = np.abs(kernel).max() / 4
    for place, sign in {(0, 0): 1, (1, 1): -1, (4, 4): -1}.items():
        kernel[*place, 0, 0] += sign * step
    expected = inspect.logits(run.model, painted, images)
    np.testing.assert_allclose(logits(tab, images), expected, atol=1e-4, rtol=0)
    own.get_by_role("button", name="restore the trained weights").click()
    expected = inspect.logits(run.model, run.params, images)
    np.testing.assert_allclose(logits(tab, images), expected, atol=1e-4, rtol=0)


def test_a_slider_shows_the_network_of_every_epoch(open_run, noise):
    """Its answers, kernels, confusion matrix, and where the epoch is in the charts."""
    tab, run = open_run(noise)
    snapshots = {row["epoch"]: row["snapshot"] for row in run.statistics}
    sliders = tab.locator("[data-epochs] input")
    assert sliders.count() == 3
    cells = tab.locator("button[data-total]")
    final = cells.all_inner_texts()
    kernels = (
        "() => [...document.querySelectorAll('#kernel-pictures canvas')].map(c => c.toDataURL())"
    )
    trained = tab.evaluate(kernels)
    rule = tab.locator("#chart-losses svg g.mark-rule line").last

    def answers() -> list[str]:
        return tab.locator(".answers figcaption").all_inner_texts()

    def expected(epoch: int) -> list[str]:
        packed = base64.b64decode(snapshots[epoch]["answers"])
        shares = np.frombuffer(packed, np.uint8).reshape(-1, 4)
        return [
            f"{report_pages.NAMES[row.argmax()]} {100 * int(row.max()) / 255:.0f}%"
            for row in shares
        ]

    assert answers() == expected(2)
    assert expected(0) != expected(2)
    tab.evaluate("window.lenet.drawn()")
    assert rule.get_attribute("opacity") == "0"
    sliders.nth(1).fill("0")
    assert answers() == expected(0)
    assert set(cells.all_inner_texts()) == {"·"}
    assert tab.evaluate(kernels) != trained
    assert [each.input_value() for each in sliders.all()] == ["0", "0", "0"]
    assert tab.locator("[data-epochs] output").first.inner_text() == "Before training"
    tab.wait_for_function(
        "() => [...document.querySelectorAll('#chart-losses svg g.mark-rule line')].at(-1)"
        ".getAttribute('opacity') > 0"
    )
    sliders.first.press("ArrowRight")
    matrix = np.array(snapshots[1]["confusion"]).ravel()
    assert cells.all_inner_texts() == [str(n or "·") for n in matrix]
    sliders.first.press("End")
    assert cells.all_inner_texts() == final
    assert tab.evaluate(kernels) == trained


def test_a_network_that_is_no_chain_has_all_but_what_computes_it(open_run, noise):
    tab, run = open_run(noise, network=Residual())
    for section in ("layers", "play"):
        assert tab.locator(f"#{section}").count() == 0
    charts = [f"chart-{name}" for name in ("across", "gradient")]  # before an activation
    assert (
        tab.locator("#statistics [data-chart]").evaluate_all("all => all.map(e => e.id)") == charts
    )
    for chart in charts:
        assert tab.locator(f"#{chart} svg", has_text="block/conv").count() == 1
    (caption,) = tab.locator("#kernel-pictures figcaption").all_inner_texts()
    assert caption == "block/conv: 3 × 3 kernels, 1 input × 2 output channels"
    size, middle, picture = tab.evaluate(
        """() => { const c = document.querySelector('#kernel-pictures canvas');
        const pixel = [...c.getContext('2d').getImageData(34 + 15, 15, 1, 1).data];
        return [[c.width, c.height], pixel.slice(0, 3), c.toDataURL()]; }"""
    )
    assert size == [2 * 34, 34]
    kernel = run.params["params"]["block"]["conv"]["kernel"]
    weight = kernel[1, 1, 0, 1] / np.abs(kernel).max()  # of the other output channel
    end = np.array([179, 88, 6] if weight > 0 else [84, 39, 136])
    np.testing.assert_allclose(middle, 247 + (end - 247) * abs(weight), atol=3)
    tab.locator("#kernels [data-epochs] input").fill("0")
    cells = tab.locator("button[data-total]")
    assert set(cells.all_inner_texts()) == {"·"}
    assert tab.locator("#kernel-pictures canvas").evaluate("c => c.toDataURL()") != picture


class Late(nn.Module):
    num_classes: int = 4

    @nn.compact
    def __call__(self, images):
        x = nn.Conv(2, (3, 3), name="stem")(images[:, ::2, ::2])
        x = nn.Conv(2, (3, 3), name="later")(nn.relu(x))
        return nn.Dense(self.num_classes)(x.mean((1, 2)))


def test_kernels_come_in_the_order_of_the_layers(open_run, noise):
    tab, _ = open_run(noise, network=Late())
    captions = tab.locator("#kernel-pictures figcaption").all_inner_texts()
    assert [caption.partition(":")[0] for caption in captions] == ["stem", "later"]


def test_the_page_itself_compares_its_logits_with_jax_s(tab):
    assert "logits match JAX on" in tab.inner_text("#agreement")


def test_a_click_on_a_cell_shows_the_pictures_behind_it(tab, noise):
    cell = tab.locator(".confusion button:not([disabled])").first
    truth, taken = map(int, cell.get_attribute("data-cell").split(","))
    count = int(cell.inner_text())
    cell.click()
    shown = tab.locator("#behind figure")
    assert shown.count() == min(count, examples.PER_CELL)
    assert report_pages.NAMES[truth] in tab.inner_text("#behind h3")
    place = tab.evaluate(
        "cell => JSON.parse(document.getElementById('payload').textContent).cells[cell][0]",
        f"{truth},{taken}",
    )
    index = tab.evaluate(
        "at => JSON.parse(document.getElementById('payload').textContent).tiles[at][0]", place
    )
    pixels = tab.evaluate(
        "() => [...document.querySelector('#behind canvas').getContext('2d')"
        ".getImageData(0, 0, 28, 28).data].filter((_, i) => i % 4 === 0)"
    )
    assert (np.array(pixels).reshape(28, 28) == noise.test.images[index, :, :, 0]).all()
    assert int(noise.test.labels[index]) == truth


def test_a_confusion_shows_its_pictures_before_and_after_it_is_pressed(tab):
    drawn = "all => all.map(each => each.toDataURL())"
    pill = tab.locator(".worst .pill").first
    few = pill.locator("canvas").evaluate_all(drawn)
    assert 0 < len(few) <= 3
    assert len({*few}) == len(few)
    pill.click()
    assert tab.locator("#behind canvas").evaluate_all(drawn)[: len(few)] == few


def test_the_browser_of_pictures_shows_what_is_asked_for(tab, own, noise):
    """By true class, prediction and correctness, sorted by confidence; a click opens a picture."""
    rows = tab.evaluate("JSON.parse(document.getElementById('payload').textContent).tiles")
    tiles = [
        dict(zip(("index", "label", "predicted", "probability"), x, strict=True)) for x in rows
    ]
    box = tab.locator("[data-browser]")
    truth, taken, kind, order = box.locator("select").all()

    def shown() -> list[int]:
        labels = box.locator("canvas").evaluate_all("all => all.map(each => each.title)")
        return [int(re.search(r"test image (\d+)", label)[1]) for label in labels]

    def expected(wanted, sign) -> list[int]:
        some = sorted(filter(wanted, tiles), key=lambda tile: sign * tile["probability"])
        return [tile["index"] for tile in some][:24]

    assert shown() == expected(lambda tile: tile["label"] != tile["predicted"], -1)
    kind.select_option("all")
    order.select_option("doubtful")
    assert shown() == expected(lambda tile: True, 1)
    box.get_by_role("button", name="Show more").click()
    assert len(shown()) == min(48, len(tiles))
    truth.select_option("2")
    assert shown() == expected(lambda tile: tile["label"] == 2, 1)
    truth.select_option("")
    taken.select_option("1")
    kind.select_option("wrong")
    assert shown() == expected(lambda tile: tile["predicted"] == 1 != tile["label"], 1)
    box.locator("button").first.focus()
    tab.keyboard.press("ArrowRight")
    index = shown()[1]
    place = tab.evaluate("scrollY")
    tab.keyboard.press("Enter")
    assert f"test image {index}" in own.locator(".note").inner_text()
    image = noise.test.images[index, :, :, 0]
    answer = tab.evaluate("pixels => window.lenet.logits(pixels)", image.ravel().tolist())
    found = [float(x) for x in own.locator(".bars .logit:not(.head)").all_inner_texts()]
    np.testing.assert_allclose(found, answer, atol=0.006)
    tab.go_back()
    tab.wait_for_function("place => Math.abs(scrollY - place) < 2", arg=place)


def test_images_lie_where_the_last_hidden_layer_puts_them(open_run, noise):
    """By the eigenvectors of its covariance; the one that is pointed at can be opened."""
    tab, run = open_run(noise)
    payload = tab.evaluate("JSON.parse(document.getElementById('payload').textContent)")
    indices = [index for index, *_ in payload["tiles"]]
    hidden = np.asarray(activations(run.model, run.params, noise.test.images[indices])["dense1"])
    spread, axes = np.linalg.eigh(np.cov(hidden.T))
    places = np.array(payload["places"])
    for component in (0, 1):
        along = hidden @ axes[:, -1 - component]
        assert abs(np.corrcoef(along, places[:, component])[0, 1]) > 0.999
    shares = spread[::-1][:2] / spread.sum()
    section = tab.locator("#plane")
    assert " and ".join(f"{100 * share:.0f}%" for share in shares) in section.inner_text()
    canvas = section.locator("canvas")
    canvas.scroll_into_view_if_needed()
    size = canvas.bounding_box()
    topmost = int(places[:, 1].argmax())
    share = np.ptp(places[:, 0])
    x = 20 + (places[topmost, 0] - places[:, 0].min()) / share * (size["width"] - 2 - 40)
    canvas.hover(position={"x": 1 + x, "y": 1 + 20})
    assert section.locator(".readout").inner_text().endswith(f"test image {indices[topmost]}")
    canvas.press("ArrowDown")
    below = int(section.locator(".readout").inner_text().split()[-1])
    assert places[indices.index(below), 1] < places[topmost, 1]
    canvas.press("Enter")
    assert tab.locator('.view[data-view="own"] .note').inner_text().endswith(f"test image {below}")


def test_pointing_at_a_unit_tells_its_receptive_field(tab):
    """conv2 of the chapter: windows of 5 over units 2 apart that see 6 pixels, from -2 on."""
    view = tab.locator(".view").first
    canvas = view.locator(".layer canvas").nth(2)
    canvas.scroll_into_view_if_needed()
    canvas.hover(position={"x": 8 * 3 + 4, "y": 4})  # row 0, column 3 of the first map
    said = view.locator(".readout").inner_text()
    assert "conv2, channel 0, row 0, column 3" in said
    # Before the edges are cut: rows -2 to 11, columns 6 - 2 = 4 to 17.
    assert "rows 0 to 11, columns 4 to 17" in said


def test_a_keyboard_is_enough(tab, own):
    view = tab.locator(".view").first
    view.locator("select").last.focus()
    tab.keyboard.press("Tab")
    assert view.locator(".layer canvas").first.evaluate("c => c === document.activeElement")
    for key in ("ArrowDown", "ArrowRight", "ArrowRight", "PageDown"):
        tab.keyboard.press(key)
    assert "conv1, channel 1, row 1, column 2" in view.locator(".readout").inner_text()
    own.get_by_role("button", name="Clear").click()
    before = own.locator(".bars").inner_text()
    own.locator(".input canvas").focus()
    for key in (" ", "ArrowDown", " ", "ArrowDown", " "):
        tab.keyboard.press(key)
    assert own.locator(".bars").inner_text() != before
    tab.locator(".confusion button:not([disabled])").first.focus()
    tab.keyboard.press("Enter")
    assert tab.locator("#behind figure").count() > 0


def test_drawing_with_a_pointer_changes_what_the_network_says(tab, own):
    canvas = own.locator(".input canvas")
    own.get_by_role("button", name="Clear").click()
    canvas.scroll_into_view_if_needed()
    before = own.locator(".bars").inner_text()
    box = canvas.bounding_box()
    tab.mouse.move(box["x"] + 50, box["y"] + 50)
    tab.mouse.down()
    tab.mouse.move(box["x"] + 200, box["y"] + 220, steps=5)
    tab.mouse.up()
    assert own.locator(".bars").inner_text() != before
    own.get_by_role("button", name="Clear").click()
    assert own.locator(".bars").inner_text() == before


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> list[Path]:
    """Pictures of other sizes and kinds, smooth enough for JPEG."""
    folder = tmp_path_factory.mktemp("photos")
    y, x = np.mgrid[0:97, 0:61]
    colours = np.stack([x * 4, y * 2, (x * y) % 256], -1).astype(np.uint8)
    grey = (127 + 120 * np.sin(x / 7) * np.cos(y / 11)).astype(np.uint8)
    clear = np.dstack([colours, (x * 4).astype(np.uint8)])
    Image.fromarray(colours).save(folder / "tall.png")
    Image.fromarray(grey.T.copy()).save(folder / "wide.png")
    Image.fromarray(clear, "RGBA").save(folder / "clear.png")
    Image.fromarray(colours).save(folder / "photo.jpg", quality=95)
    Image.fromarray(grey[:9, :7]).save(folder / "small.png")
    Image.fromarray(grey[:28, :28]).save(folder / "right.png")
    Image.fromarray(colours).save(
        folder / "second.jpg", format="MPO", save_all=True, append_images=[Image.new("RGB", (9, 9))]
    )
    for orientation in (3, 6, 7):
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(grey).save(folder / f"turned-{orientation}.jpg", exif=exif, quality=95)
        Image.fromarray(grey).save(folder / f"turned-{orientation}.png", exif=exif)
    Image.fromarray(grey).save(folder / "broken-exif.png", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    text = PngImagePlugin.PngInfo()
    text.add_text("text", "x" * 3_000_000, zip=True)
    Image.fromarray(grey).save(folder / "text.png", pnginfo=text)
    ink = Image.new("LA", (56, 40))
    ink.paste((0, 255), (20, 20, 36, 36))
    ink.save(folder / "ink.png")
    Image.fromarray(np.tile(grey[:10], (1, 33))).save(folder / "thin.png")
    Image.fromarray(np.tile(grey, (13, 27))).resize((1607, 1201)).save(folder / "large.png")
    Image.fromarray(np.tile(grey, (1, 1000))[:30]).save(folder / "wider than a canvas.png")
    return sorted(folder.iterdir())


def opened_as(tab, own, photo: Path) -> list[dict]:
    """What the page makes of a picture: as it is, and inverted."""
    tab.evaluate(
        "() => { window.made = null;"
        " document.querySelector('.view[data-view=own] input[type=file]')"
        ".addEventListener('change', async (event) => { window.made ="
        " (await window.lenet.picturesOf(event.target.files[0])).map((made) =>"
        " ({...made, values: [...made.values]})); }, {once: true}); }"
    )
    own.locator("input[type=file]").set_input_files(photo)
    tab.wait_for_function("() => window.made")
    return tab.evaluate("() => window.made")


def test_a_picture_becomes_the_image_that_predict_makes_of_it(tab, own, photos):
    """To two grey levels: browsers decode JPEG and multiply transparency in their own way."""
    for photo in photos:
        exact = photo.suffix == ".png" and photo.stem != "clear"
        for made, invert in zip(opened_as(tab, own, photo), (False, True), strict=True):
            expected = pictures.read(photo, (28, 28, 1), invert=invert)
            difference = np.array(made["values"]).reshape(28, 28) - expected.image[:, :, 0]
            assert np.abs(difference).max() <= (1 if exact else 4), photo.name
            assert abs(made["contrast"] - expected.contrast) <= (2 if exact else 8), photo.name
            assert photo.name != "right.png" or not difference.any()


def test_invert_shows_what_predict_makes_of_ink_on_a_transparent_ground(tab, own, photos):
    own.locator("input[type=file]").set_input_files(next(x for x in photos if x.name == "ink.png"))
    said = own.locator(".note", has_text="ink.png is almost a single grey level")
    said.wait_for()
    assert "contrast 0 of 255" in said.inner_text()
    before = own.locator(".bars").inner_text()
    own.get_by_role("button", name="Invert").click()
    assert own.locator(".bars").inner_text() != before
    assert said.count() == 0
    own.get_by_role("button", name="Invert").click()
    said.wait_for()


def test_what_is_no_still_picture_is_refused_as_predict_refuses_it(own, tmp_path):
    frames = [Image.new("L", (28, 28), 40 * i) for i in range(3)]
    for name in ("a.png", "a.gif"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    (tmp_path / "no.png").write_text("<script>")
    (tmp_path / "empty.png").touch()
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    (tmp_path / "header.png").write_bytes((tmp_path / "a.png").read_bytes()[:12])
    Image.new("1", (10_000, 6_000)).save(tmp_path / "pixels.png")
    (tmp_path / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe1\xff")
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(DataError):
            pictures.read(path, (28, 28, 1))
        own.locator("input[type=file]").set_input_files(path)
        reason = (
            "larger than 50 megapixels or 64 MB" if path.stem == "pixels" else "not a still PNG"
        )
        own.locator(".note", has_text=f"{path.name}: {reason}").wait_for()


def test_language_and_theme_change_at_a_click_and_outlive_the_page(tab, own):
    assert tab.locator("h2", has_text="Learning curves").count() == 1
    assert tab.get_by_text("学习曲线").first.is_hidden()
    colour = "() => getComputedStyle(document.body).backgroundColor"
    light = tab.evaluate(colour)
    tab.click("#language")
    assert tab.get_by_text("学习曲线").first.is_visible()
    tab.locator("#chart-losses text", has_text="损失").first.wait_for()
    assert "分类正确" in tab.locator(".confusion button").first.get_attribute("aria-label")
    assert "画笔" in own.locator("select").last.get_attribute("title")
    tab.click("#theme")
    dark = tab.evaluate(colour)
    assert dark != light
    for _ in range(2):
        assert tab.evaluate("() => document.documentElement.lang") == "zh"
        assert tab.evaluate(colour) == dark
        assert tab.title().startswith("测试精度 0.250 · <b>run</b> · ")
        tab.reload()
        tab.wait_for_selector("html[data-ready]")


@pytest.mark.parametrize("kind", ["run", "sweep", "comparison"])
def test_a_phone_scrolls_one_way_only(opened, report, tmp_path, kind):
    made = {"run": None, "sweep": sweep, "comparison": compared}[kind]
    path = report_pages.write(tmp_path / "x.html", made()) if made else report
    tab = opened(path, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    assert tab.evaluate("() => document.documentElement.scrollWidth") <= 360
    assert tab.locator(".canvas svg").count() == tab.locator("[data-chart]").count() > 0


def test_every_chart_fills_its_place(opened, noise, tmp_path):
    """Also of a run that is shorter than the published runs behind it."""
    config = Config(epochs=2)
    made = of_run.report(report_pages.run(config, noise)._replace(config=config), noise)
    tab = opened(report_pages.write(tmp_path / "report.html", made))
    shares = tab.evaluate(
        "() => [...document.querySelectorAll('[data-chart]')].map((each) => [each.id,"
        " each.querySelector('.root path.background').getBBox().width / each.clientWidth])"
    )
    assert "chart-accuracies" in dict(shares)
    assert [name for name, share in shares if share < 0.5] == ["chart-calibration"]  # a square


def test_a_table_sorts_by_a_click_on_its_head(opened, tmp_path):
    tab = opened(report_pages.write(tmp_path / "sweep.html", sweep()))
    table = tab.locator("#settings table")
    head = table.locator("th", has_text="test accuracy")
    column = table.locator("tbody tr td:nth-child(7)")
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    values = [float(text.split()[0]) for text in column.all_inner_texts() if text]
    assert values == sorted(values)
    head.locator("button").click()
    values = [float(text.split()[0]) for text in column.all_inner_texts() if text]
    assert values == sorted(values, reverse=True)
    assert values[-1] == 0.1  # what diverged counts at chance level


def test_the_numbers_of_a_chart_are_there_as_a_table(tab):
    details = tab.locator("#curves details").first
    details.locator("summary").click()
    details.locator("tbody tr").first.wait_for()
    assert details.locator("tbody tr").count() == 4 + 2  # two running means an epoch, and the test
    assert details.locator("th").first.inner_text() == "epoch"
    assert details.locator("td", has_text="training").count() == 4
    tab.click("#language")
    details.locator("th", has_text="轮").first.wait_for()
    assert details.locator("td", has_text="训练").count() == 4


def test_a_chart_can_be_saved(tab):
    """Its rows as CSV, what is seen as SVG and PNG, with the colours of the page."""
    figure = tab.locator("figure", has=tab.locator("#chart-losses"))
    figure.locator("summary").click()

    def saved(kind: str) -> bytes:
        with tab.expect_download() as download:
            figure.get_by_role("button", name=f"Save as {kind.upper()}").click()
        assert download.value.suggested_filename == f"losses.{kind}"
        return Path(download.value.path()).read_bytes()

    rows = tab.evaluate("JSON.parse(document.getElementById('payload').textContent).data.losses")
    read = csv.DictReader(io.StringIO(saved("csv").decode()))
    assert [{k: str(v) for k, v in row.items()} for row in rows] == list(read)
    drawn = saved("svg").decode()
    assert ElementTree.fromstring(drawn).tag == "{http://www.w3.org/2000/svg}svg"
    assert "var(" not in drawn
    blue = tab.evaluate("getComputedStyle(document.querySelector('a')).color")  # a series has it
    assert blue in drawn
    picture = Image.open(io.BytesIO(saved("png"))).convert("RGB")
    colours = {colour for _, colour in picture.getcolors(1 << 20)}
    assert {(255, 255, 255), tuple(map(int, re.findall(r"\d+", blue)))} <= colours


@pytest.mark.parametrize("language", ["en", "zh"])
def test_without_javascript_there_are_curves_and_numbers(browser, noise, tmp_path, language):
    run = report_pages.run(report_pages.SMALL, noise)
    path = report_pages.write(tmp_path / "r.html", of_run.report(run, noise), language)
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(path.as_uri())
    curves = tab.locator("#curves img")
    assert curves.bounding_box()["width"] > 700
    assert curves.bounding_box()["height"] > 200
    rows = tab.locator("#curves table tbody tr")
    assert [row.inner_text().split() for row in rows.all()] == [
        [str(row.epoch)]
        + [
            f"{getattr(row, f'{split}_{what}'):.4f}"
            for split in ("train", "test")
            for what in ("loss", "accuracy")
        ]
        for row in run.rows
    ]
    assert tab.locator(".confusion").is_visible()
    for section in tab.locator("section").all():
        if section.is_visible():  # and has more than its head and what it is about
            assert section.locator("img, table, .finding").count() > 0
    context.close()


def test_without_javascript_a_sweep_has_its_first_charts_as_a_picture(browser, tmp_path):
    path = report_pages.write(tmp_path / "s.html", of_three_axes())
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(path.as_uri())
    (picture,) = tab.locator("main img").all()
    assert picture.bounding_box()["width"] > 700
    assert "learning rate" in picture.get_attribute("alt")
    context.close()


def test_the_first_screen_shows_the_image_and_answer_of_the_view_below(tab, own):
    first, choice = tab.locator("#first"), own.locator("select").first

    def agree() -> str:
        shares = [
            float(each) for each in first.locator(".bars span:nth-of-type(2n)").all_inner_texts()
        ]
        assert shares == sorted(shares, reverse=True)
        likeliest = first.locator(".bars .first").inner_text()
        answer = own.locator(".answer").inner_text()
        assert answer.startswith(f"{likeliest}, ")
        pixels = "(view) => view.querySelector('canvas').toDataURL()"
        small, large = (each.evaluate(pixels) for each in (first, own))
        assert small == large
        return small

    seen = [agree()]
    for arrow in ("next image", "next image", "previous image"):
        first.get_by_role("button", name=arrow).click()
        seen.append(agree())
    assert seen[1] != seen[0]
    assert seen[3] == seen[1]
    said = choice.locator("option:checked").inner_text()
    assert first.locator(".note").inner_text() == said
    own.get_by_role("button", name="Clear").click()
    assert "always picks a class" in first.locator(".bars").inner_text()
    assert first.locator(".note").inner_text() == ""


def test_at_most_40_stops_for_tab_and_arrows_between_them(tab):
    """Whatever can be pressed is a stop, or the arrows lead to it from one."""
    focused = "() => [...document.querySelectorAll('*')].indexOf(document.activeElement)"
    stops: list[int] = []
    tab.locator("body").press("Tab")
    while (at := tab.evaluate(focused)) not in stops:
        stops.append(at)
        tab.keyboard.press("Tab")
    assert 20 < len(stops) <= 40
    for box, item in (
        (".tools", "button"),
        ("#contents", "a"),
        (".toolbar", "button"),
        (".often", "button"),
    ):
        items = tab.locator(f"{box} {item}")
        items.first.focus()
        for each in range(1, items.count()):
            tab.keyboard.press("ArrowRight")
            assert items.nth(each).evaluate("item => item === document.activeElement")
            assert items.nth(each).evaluate("item => item.tabIndex") == 0
        tab.keyboard.press("ArrowRight")
        assert items.first.evaluate("item => item === document.activeElement")
    for figure in tab.locator("figure.chart").all():
        items = figure.locator(".canvas, .canvas [role=button], summary")
        items.first.focus()
        for each in range(1, items.count()):
            tab.keyboard.press("ArrowDown")
            assert items.nth(each).evaluate("item => item === document.activeElement")
    layers = tab.locator('.view[data-view="own"] .layer canvas')
    layers.first.focus()
    tab.keyboard.press("Shift+ArrowDown")
    assert layers.nth(1).evaluate("layer => layer === document.activeElement")
    assert (
        "pool1, channel 0, row 0, column 0"
        in tab.locator('.view[data-view="own"] .readout').inner_text()
    )


def test_every_button_and_canvas_has_a_name(tab):
    nameless = tab.evaluate(
        "() => [...document.querySelectorAll('button, select, input, canvas, meter')]"
        ".filter((each) => !each.ariaHidden)"
        ".filter((each) => !(each.getAttribute('aria-label') || each.textContent.trim()))"
        ".map((each) => each.outerHTML.slice(0, 80))"
    )
    assert nameless == []


def test_a_run_s_report_opens_with_the_network_that_was_trained(opened, trained, tiny):
    """From a directory that experiments.train left, by the command that a person gives."""
    run_dir, _ = trained
    done = command("report", str(run_dir), "--lang=zh")
    assert (done.returncode, done.stderr) == (0, "")
    assert "report.html（" in done.stdout
    tab = opened(run_dir / "report.html")
    assert tab.get_by_role("heading", name="学习曲线").is_visible()
    images = data.load("tiny", data_dir=tiny).test.images
    expected = inspect.logits(*records.load(run_dir), images)
    np.testing.assert_allclose(logits(tab, images), expected, atol=1e-4, rtol=0)


@pytest.mark.slow
def test_training_on_real_pictures_ends_with_a_report(opened, fashion_mnist, tmp_path):
    run_dir = tmp_path / "run"
    flags = ("--preset=modern", "--epochs=1", f"--run_dir={run_dir}")
    done = python("-m", "experiments.train", *flags)
    assert done.returncode == 0, done.stderr
    assert (run_dir / "report.html").stat().st_size < 8e6
    tab = opened(run_dir / "report.html")
    images = fashion_mnist.test.images[:1000]
    expected = inspect.logits(*records.load(run_dir), images)
    np.testing.assert_allclose(logits(tab, images), expected, atol=1e-4, rtol=0)
    first = tab.locator(".views select:first-child").all()
    chosen = [select.locator("option:checked").inner_text().split()[0] for select in first]
    assert chosen == ["Pullover,", "Coat,"]


def test_a_page_is_as_dark_as_the_system_and_its_confusion_matrix_can_be_read(opened, report):
    """A contrast of 4.5, as WCAG 2 asks for, of the fullest cell there can be, on either paper."""
    contrast = """() => {
      const luminance = (colour) => {
        const parts = colour.match(/[\\d.]+/g).map(Number).slice(0, 3);
        const scale = colour.startsWith("rgb") ? 255 : 1;
        const [r, g, b] = parts.map((x) => x / scale).map(
          (x) => (x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      return [...document.querySelectorAll(".confusion button:not([disabled])")].map((cell) => {
        cell.style.setProperty("--share", 1);
        const style = getComputedStyle(cell);
        const [a, b] = [luminance(style.color), luminance(style.backgroundColor)];
        return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      });
    }"""
    for scheme in ("light", "dark"):
        tab = opened(report, color_scheme=scheme)
        assert min(tab.evaluate(contrast)) >= 4.5, scheme
        colour = tab.evaluate("() => getComputedStyle(document.body).backgroundColor")
        levels = map(int, colour.removeprefix("rgb(").rstrip(")").split(","))
        assert (max(levels) < 50) == (scheme == "dark")


@pytest.mark.slow
def test_a_network_for_colours_takes_no_drawing(open_run):
    tab, _ = open_run(report_pages.data((12, 14, 3)), kernel_size=3, channels=(2,))
    own = tab.locator('.view[data-view="own"]')
    assert own.locator("input[type=file]").count() == 0
    assert own.locator(".input canvas").get_attribute("role") == "img"
    assert tab.get_by_role("heading", name="Change an image").is_visible()
    before = own.locator(".bars").inner_text()
    own.get_by_role("button", name="Invert").click()
    assert own.locator(".bars").inner_text() != before


def test_a_class_without_images_leaves_its_view_to_others(open_run):
    of = report_pages.data()
    of.test.labels[:] = 0
    tab, _ = open_run(of)
    second = tab.locator(".view").nth(1)
    canvas = second.locator(".layer canvas").first
    canvas.evaluate("e => e.scrollIntoView({block: 'center', behavior: 'instant'})")
    canvas.hover(position={"x": 40, "y": 40})
    assert "conv1, channel 0" in second.locator(".readout").inner_text()


def test_a_tap_selects_a_unit_and_stays(opened, report):
    tab = opened(report, viewport={"width": 390, "height": 740}, has_touch=True, is_mobile=True)
    view = tab.locator(".view").first
    canvas = view.locator(".layer canvas").nth(2)
    canvas.scroll_into_view_if_needed()
    canvas.tap(position={"x": 4, "y": 4})
    readout = view.locator(".readout", has_text="conv2, channel 0, row 0, column 0")
    readout.wait_for()
    tab.wait_for_timeout(200)
    assert readout.count() == 1
    assert 0 <= readout.bounding_box()["y"] < 740  # it stays in sight


def test_nothing_is_said_of_an_empty_picture(own):
    """It begins with an image of the test set, of which something is said."""
    assert own.locator("meter").count() == len(report_pages.NAMES)
    assert own.locator(".answer").inner_text().endswith("%")
    own.get_by_role("button", name="Clear").click()
    assert own.locator("meter").count() == 0
    assert own.locator(".answer").inner_text() == ""
    assert "always picks a class, even for a blank canvas" in own.locator(".bars").inner_text()


def test_every_picture_becomes_what_predict_makes_of_it_inverted_or_not(tab, own, tmp_path):
    """Of sizes, modes and orientations drawn at random; the page answers as the network of JAX."""
    rng = np.random.default_rng(0)
    modes = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK", "JPEG L", "JPEG RGB")
    for i, mode in enumerate(modes * 4):
        height, width = rng.integers(3, 120, 2).tolist()
        if i >= len(modes):
            (height, width) = (height, 3 * width) if i % 2 else (3 * height, width)
        y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
        level = 255 * (0.5 + 0.5 * np.sin(rng.uniform(2, 9) * x + 5 * y)) * rng.uniform(0.4, 1)
        grey = Image.fromarray((255 - level if rng.random() < 0.5 else level).astype(np.uint8))
        if mode == "I;16":
            picture = Image.fromarray((level * 257).astype(np.uint16))
        elif mode in ("LA", "RGBA"):
            picture = grey.convert(mode)
            picture.putalpha(Image.fromarray((255 * (x < 0.6)).astype(np.uint8)))
        else:
            picture = grey.convert(mode.removeprefix("JPEG "))
        exif = Image.Exif()
        exif[0x0112] = orientation = int(rng.integers(1, 9))
        jpeg = mode == "CMYK" or mode.startswith("JPEG")
        path = tmp_path / f"{i} {mode.replace(';', '')} {orientation}.{'jpg' if jpeg else 'png'}"
        picture.save(path, exif=exif, **({"quality": 95} if jpeg else {}))
        made = opened_as(tab, own, path)
        for each, invert in zip(made, (False, True), strict=True):
            expected = pictures.read(path, (28, 28, 1), invert=invert)
            difference = np.array(each["values"]).reshape(28, 28) - expected.image[:, :, 0]
            assert np.abs(difference).max() <= (4 if jpeg else 1), (path.name, invert)
            assert each["light"] == expected.light or jpeg, (path.name, invert)


def test_a_picture_on_white_is_inverted_as_it_is_opened(tab, own, tmp_path):
    """Twice as wide as high: what is added above and below stays black, inverted or not."""
    y, x = np.mgrid[0:40, 0:80]
    ink = ((y - 20) ** 2 + (x - 40) ** 2 < 200) * 255
    Image.fromarray((255 - ink).astype(np.uint8)).save(tmp_path / "on white.png")
    pixels = """() => { const canvas = document.querySelector('.view[data-view=own] .input canvas');
      const [w, h] = [canvas.width, canvas.height];
      const { data } = canvas.getContext('2d').getImageData(0, 0, w, h);
      return [[w / 2, h / 2], [w / 2, 5], [5, h / 2]].map(([x, y]) => data[4 * (y * w + x)]);
    }"""
    own.locator("input[type=file]").set_input_files(tmp_path / "on white.png")
    own.locator(".note", has_text="on white.png: dark on light, inverted").wait_for()
    assert tab.evaluate(pixels) == [255, 0, 0]
    own.get_by_role("button", name="Invert").click()
    own.locator(".note", has_text="the training images are light on dark").wait_for()


def test_changes_of_theme_and_language_leave_nothing_behind(tab):
    """Charts are ended before they are drawn anew: no listener and no element is left."""
    session = tab.context.new_cdp_session(tab)

    def counted() -> tuple[int, int]:
        for _ in range(2):
            for button in ("#theme", "#language"):
                tab.click(button)
                tab.evaluate("() => window.lenet.drawn()")
        session.send("HeapProfiler.collectGarbage")
        found = session.send("Memory.getDOMCounters")
        return found["jsEventListeners"], found["nodes"]

    listeners, nodes = counted()
    assert counted() <= (listeners, nodes * 1.01)
    assert tab.locator("[data-chart]").count() == tab.locator(".canvas svg").count()


@pytest.mark.parametrize("section", [pytest.param("play", marks=pytest.mark.slow), "robustness"])
def test_a_link_into_the_page_lands_at_its_section(opened, report, section):
    tab = opened(report, fragment=section, viewport={"width": 1200, "height": 500})
    top = f"document.querySelector('#{section} h2').getBoundingClientRect().top"
    tab.wait_for_function(f"() => {top} >= 30 && {top} <= 110")
    tab.wait_for_timeout(300)
    assert 30 <= tab.evaluate(top) <= 110


def test_a_column_of_numbers_sorts_by_them_whatever_stands_behind(opened, tmp_path):
    tab = opened(report_pages.write(tmp_path / "comparison.html", compared()))
    table = tab.locator("#cells table")
    texts = ["10 (3/16)", "3 (14/16)", "> 10", "", "-0.5 [-1, 0]"]
    fill = "(row, text) => (row.cells[1].textContent = text)"
    for row, text in zip(table.locator("tbody tr").all(), texts, strict=True):
        row.evaluate(fill, text)
    table.locator("th button").nth(1).click()
    said = table.locator("tbody tr td:nth-child(2)").all_inner_texts()
    assert said == ["-0.5 [-1, 0]", "3 (14/16)", "10 (3/16)", "> 10", ""]


@pytest.mark.parametrize("width", [1200, pytest.param(360, marks=pytest.mark.slow)])
def test_pointing_at_a_unit_moves_nothing(opened, report, width):
    tab = opened(report, viewport={"width": width, "height": 740})
    view = tab.locator(".view").first
    for at in range(view.locator(".layer canvas").count()):
        canvas = view.locator(".layer canvas").nth(at)
        canvas.evaluate("e => e.scrollIntoView({block: 'center', behavior: 'instant'})")
        box = canvas.bounding_box()
        before = box, tab.evaluate("document.body.scrollHeight")
        tab.mouse.move(1, 1)
        tab.mouse.move(box["x"] + 5, box["y"] + 5)
        view.locator(".readout", has_text="Receptive field").wait_for()
        assert (canvas.bounding_box(), tab.evaluate("document.body.scrollHeight")) == before


def of_three_axes() -> page.Report:
    """A sweep whose settings are lines through three axes."""
    axes = ["lr", "pool", "activation"]
    cells = itertools.product((0.1, 0.3, 0.9), ("avg", "max"), ("relu", "sigmoid"))
    entries = [
        record_rows.entry(
            run,
            [record_rows.row(1, test_accuracy=0.4 + 0.03 * run)],
            **dict(zip(axes, cell, strict=True)),
            epochs=1,
        )
        for run, cell in enumerate(cells)
    ]
    asked = {"command": "sweep", "runs": len(entries), "environment": {}, "flags": {}}
    return of_sweep.report("s", Sweep(entries, axes, Config(epochs=1)), asked)


def test_the_command_for_the_best_setting_is_copied(opened, tmp_path):
    path = report_pages.write(tmp_path / "sweep.html", of_three_axes())
    tab = opened(path, permissions=["clipboard-read", "clipboard-write"])
    tab.get_by_role("button", name="Copy").first.click()
    tab.get_by_role("button", name="Copied").wait_for()
    copied = tab.evaluate("navigator.clipboard.readText()")
    assert copied == "python -m experiments.train --pool=max --epochs=1 --parts=2"


def test_a_name_in_the_legend_of_a_sweep_leaves_its_series_alone(opened, tmp_path):
    tab = opened(report_pages.write(tmp_path / "sweep.html", of_three_axes()))
    for chart in ("rates", "curves"):
        names = tab.locator(f"#chart-{chart} [role=button]")
        names.first.focus()
        tab.keyboard.press("Enter")
        tab.wait_for_function(
            f"() => new Set([...document.querySelectorAll('#chart-{chart} .mark-line path')]"
            ".map((e) => e.getAttribute('opacity') ?? '1')).has('0.12')"
        )
        pressed = [name.get_attribute("aria-pressed") for name in names.all()]
        assert pressed == ["true"] + ["false"] * (len(pressed) - 1)


LINES = "#chart-parallel .layer_0_pathgroup .mark-line path"


def on_a_line(tab, line: int) -> tuple[float, float]:
    """Where a line of the parallel coordinates is a quarter of its way along."""
    path = tab.locator(LINES).nth(line)
    path.evaluate("e => e.scrollIntoView({block: 'center', behavior: 'instant'})")
    return path.evaluate(
        "e => { const on = e.getPointAtLength(e.getTotalLength() * 0.22);"
        " const seen = on.matrixTransform(e.getScreenCTM()); return [seen.x, seen.y]; }"
    )


def test_a_line_of_parallel_coordinates_stands_out_while_it_is_pointed_at(opened, tmp_path):
    tab = opened(report_pages.write(tmp_path / "sweep.html", of_three_axes()))
    opacities = (
        f"() => [...document.querySelectorAll('{LINES}')]"
        ".map((e) => e.getAttribute('opacity') ?? '1')"
    )
    assert set(tab.evaluate(opacities)) == {"1"}
    tab.mouse.move(*on_a_line(tab, 2))
    tab.locator("#tooltip:not([hidden])", has_text="mean test accuracy").wait_for()
    assert sorted(tab.evaluate(opacities))[-1] == "1"
    assert tab.evaluate(opacities).count("1") == 1
    tab.mouse.move(5, 5)
    tab.wait_for_function(f"() => ({opacities})().every((each) => each === '1')")
    assert tab.locator("#tooltip:not([hidden])").count() == 0


def test_a_chart_that_is_drawn_anew_leaves_what_another_one_tells(opened, tmp_path):
    tab = opened(report_pages.write(tmp_path / "sweep.html", of_three_axes()))
    curves = tab.locator("[data-chart]:has(.crosshair_marks > line)").first
    curves.scroll_into_view_if_needed()
    curves.focus()
    curves.press("End")
    tooltip = tab.locator("#tooltip:not([hidden])")
    said = tooltip.inner_text()
    anew = f"() => document.querySelector('{LINES}')"
    before = tab.evaluate_handle(anew)
    tab.emulate_media(color_scheme="dark")  # only a chart with a ramp is drawn anew
    tab.wait_for_function(f"(before) => ({anew})() && ({anew})() !== before", arg=before)
    assert tooltip.inner_text() == said


def test_on_a_phone_a_tooltip_stays_until_the_next_tap(opened, report):
    """It tells what all series are at the x that is nearest to the finger."""
    tab = opened(report, viewport={"width": 390, "height": 740}, has_touch=True, is_mobile=True)
    chart = tab.locator("#chart-losses")
    chart.evaluate("e => e.scrollIntoView({block: 'center', behavior: 'instant'})")
    chart.tap(position={"x": 200, "y": 100})
    shown = tab.locator("#tooltip:not([hidden])")
    shown.wait_for()
    tab.wait_for_timeout(400)
    said = shown.inner_text().split()
    assert said[:4] == ["epoch", "1", "training", "1.3000"]
    assert said[-2:] == ["test", "1.3700"]
    box = shown.bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    tab.locator("h1").tap()
    shown.wait_for(state="hidden")


LIT = """() => Object.fromEntries(['losses', 'accuracies'].map((name) => [name,
  [...document.querySelectorAll(`#chart-${name} .crosshair_marks > line`)]
    .filter((line) => line.style.opacity > 0).map((line) => line.__data__.datum.at)]))"""


def test_keys_move_a_crosshair_that_the_charts_over_epochs_share(tab):
    tab.focus("#chart-losses")
    shown = tab.locator("#tooltip:not([hidden])")
    for key, epoch in {"End": 2, "ArrowLeft": 1, "Home": 0.5, "ArrowRight": 1}.items():
        tab.keyboard.press(key)
        assert shown.inner_text().split()[:2] == ["epoch", f"{epoch:g}"]
        assert tab.evaluate(LIT) == {"losses": [epoch], "accuracies": [epoch]}
    tab.keyboard.press("Escape")
    assert shown.count() == 0
    assert tab.evaluate(LIT) == {"losses": [], "accuracies": []}


def test_what_a_key_tells_stays_beside_its_chart_while_the_page_still_glides_there(opened, report):
    size = {"width": 1200, "height": 300}
    tab = opened(report, viewport=size, reduced_motion="no-preference")
    tab.evaluate("() => addEventListener('scrollend', () => { window.arrived = true; })")
    tab.focus("#chart-losses")
    tab.keyboard.press("End")
    tab.wait_for_function("() => window.arrived")
    tip, chart = (tab.locator(each).bounding_box() for each in ("#tooltip", "#chart-losses"))
    assert 0 < tip["y"] - chart["y"] < chart["height"]


def test_the_names_of_a_legend_are_buttons_that_leave_series_alone(tab):
    tab.focus("#chart-losses")
    names = tab.locator("#chart-losses [role=button]")
    assert names.all_text_contents() == ["training", "test"]
    opacities = (
        "() => [...document.querySelectorAll('#chart-losses .mark-line path')]"
        ".map((e) => Number(e.getAttribute('opacity') ?? 1))"
    )

    def state() -> tuple[list[str], list[float]]:
        pressed = [name.get_attribute("aria-pressed") for name in names.all()]
        return pressed, sorted(tab.evaluate(opacities))

    tab.keyboard.press("ArrowDown")
    assert tab.evaluate("() => document.activeElement.textContent") == "training"
    for key, pressed, seen in (
        ("Enter", ["true", "false"], [0.12, 1]),
        ("ArrowDown", ["true", "false"], [0.12, 1]),
        (" ", ["true", "true"], [1, 1]),
        ("ArrowUp", ["true", "true"], [1, 1]),
        ("Enter", ["false", "true"], [0.12, 1]),
    ):
        tab.keyboard.press(key)
        tab.evaluate("() => new Promise(requestAnimationFrame)")
        assert state() == (pressed, seen)
    tab.evaluate("() => document.getElementById('language').click()")  # which keeps the focus
    tab.evaluate("() => window.lenet.drawn()")
    assert names.all_text_contents() == ["训练", "测试"]
    assert state() == (["false", "true"], [0.12, 1])
    assert tab.evaluate("() => document.activeElement.textContent") == "训练"
    names.nth(1).click()
    tab.evaluate("() => new Promise(requestAnimationFrame)")
    assert state() == (["false", "false"], [1, 1])
    told = "e => [e.closest('[aria-hidden]'), e.closest('.role-legend').getAttribute('role')]"
    assert [name.evaluate(told) for name in names.all()] == [[None, "group"]] * 2


def test_a_dark_page_prints_in_light_colours(opened, report):
    """Text, charts and cells, each on white paper; a real PDF is made as well."""
    tab = opened(report, color_scheme="dark")
    tab.click("#theme")
    tab.click("#theme")  # chosen, not only the system's
    tab.emulate_media(media="print")
    shown = tab.evaluate(
        """() => { const of = (at, name) => getComputedStyle(document.querySelector(at))[name];
        return [of('body', 'backgroundColor'), of('body', 'color'),
          of('#chart-losses .role-axis text', 'fill'),
          of('#chart-losses .mark-line path', 'stroke')]; }"""
    )
    assert shown == [
        "rgb(255, 255, 255)",
        "rgb(27, 31, 36)",
        "rgb(87, 96, 106)",
        "rgb(0, 114, 178)",
    ]
    assert tab.pdf()[:4] == b"%PDF"


def test_a_map_prints_on_white_and_is_dark_again_afterwards(opened, tmp_path):
    tab = opened(report_pages.write(tmp_path / "s.html", sweep()), color_scheme="dark")
    fills = (
        "() => [...document.querySelectorAll('#chart-map .role-mark.mark-rect path')]"
        ".map((e) => e.getAttribute('fill'))"
    )
    dark = tab.evaluate(fills)
    during = tab.evaluate(
        "() => { dispatchEvent(new Event('beforeprint'));"
        f" return window.lenet.drawn().then({fills}); }}"
    )
    tab.evaluate("() => { dispatchEvent(new Event('afterprint')); return window.lenet.drawn(); }")
    assert during != dark
    assert tab.evaluate(fills) == dark


def test_a_resize_draws_anew_only_what_has_another_width(tab):
    """A phone's address bar that slides away changes the height alone, dozens of times."""
    tab.evaluate(
        """() => { window.drawings = 0;
        for (const name of ['drawImage', 'putImageData']) {
          const original = CanvasRenderingContext2D.prototype[name];
          CanvasRenderingContext2D.prototype[name] = function (...given) {
            window.drawings += 1; return original.apply(this, given); };
        } }"""
    )
    for height in (880, 860, 840):
        tab.set_viewport_size({"width": 1200, "height": height})
    tab.wait_for_timeout(200)
    assert tab.evaluate("() => window.drawings") == 0
    legend = "() => document.querySelector('#chart-across .root path.background').getBBox().width"
    wide = tab.evaluate(legend)
    tab.set_viewport_size({"width": 700, "height": 840})
    tab.wait_for_function("() => window.drawings > 0")
    tab.wait_for_function(f"() => ({legend})() < {wide}")
    widths = tab.evaluate(
        "() => [...document.querySelectorAll('.view canvas')].map((e) => e.width)"
    )
    assert max(widths) <= 700
    last = """() => {  // the line furthest to the right: it has moved, too
        const lines = [...document.querySelectorAll('#chart-losses .crosshair_marks > line')];
        const places = lines.map((line) => line.getBoundingClientRect());
        const { x, y } = places.reduce((a, b) => (b.x > a.x ? b : a), { x: 0, y: 0 });
        return [x, y]; }"""
    tooltip = tab.locator("#tooltip:not([hidden])", has_text="epoch 2")
    for n in range(100):  # until it has been drawn where it stays, and nothing above it grows
        tab.locator("#chart-losses").scroll_into_view_if_needed()
        x, y = tab.evaluate(last)
        tab.mouse.move(x - 2 - n % 2, y + 20)
        tab.wait_for_timeout(50)
        if tooltip.count():
            break
    assert tooltip.count()


def test_a_run_that_diverged_is_a_cross_above_the_accuracies(opened, tmp_path):
    tab = opened(report_pages.write(tmp_path / "c.html", compared()))
    lines = tab.locator("#chart-rates .mark-symbol path")
    crosses = tab.locator("#chart-rates .mark-text text", has_text="×")
    assert crosses.count() == 2
    highest = min(each.bounding_box()["y"] for each in lines.all())
    for cross in crosses.all():
        assert cross.bounding_box()["y"] < highest
    axis = tab.locator("#chart-rates .role-axis text").all_inner_texts()
    assert "0%" not in axis


def test_pointing_draws_no_map_anew(tab):
    """Frames alone: the maps are kept until the image, the width, the theme or language changes."""
    tab.evaluate(
        """() => { window.drawings = 0;
        const original = CanvasRenderingContext2D.prototype.putImageData;
        CanvasRenderingContext2D.prototype.putImageData = function (...given) {
          window.drawings += 1; return original.apply(this, given); }; }"""
    )
    view = tab.locator(".view").first
    canvas = view.locator(".layer canvas").nth(2)
    canvas.scroll_into_view_if_needed()
    for x in (4, 30, 60):
        canvas.hover(position={"x": x, "y": 4})
        assert "conv2, channel 0" in view.locator(".readout").inner_text()
    assert tab.evaluate("() => window.drawings") == 0
    view.locator("select").first.select_option(index=2)
    assert tab.evaluate("() => window.drawings") > 0


@pytest.mark.parametrize("width", [1280, pytest.param(390, marks=pytest.mark.slow)])
def test_the_image_and_the_answer_stay_in_sight_beside_every_layer(opened, report, width):
    tab = opened(report, viewport={"width": width, "height": 800})
    for view in tab.locator(".view").all():
        picture = view.locator(".small" if width < 640 else ".input canvas")
        for canvas in view.locator(".layer canvas").all():
            canvas.evaluate("e => e.scrollIntoView({block: 'center', behavior: 'instant'})")
            for each in (picture, view.locator(".answer"), view.locator(".readout")):
                box = each.bounding_box()
                assert box["y"] >= 40
                assert box["y"] + box["height"] <= 800


@pytest.mark.parametrize("width", [1280, 1680])
def test_two_images_go_through_the_network_side_by_side(opened, report, width):
    """What is pointed at in one is framed in the other, which is in sight."""
    tab = opened(report, viewport={"width": width, "height": 800})
    boxes = [each.bounding_box() for each in tab.locator("#layers .view").all()]
    assert len({box["y"] for box in boxes}) == 1
    assert len({box["x"] for box in boxes}) == 2
    first, second = (
        view.locator(".layer canvas").first for view in tab.locator("#layers .view").all()
    )
    before = second.evaluate("canvas => canvas.toDataURL()")
    first.hover(position={"x": 6, "y": 6})
    tab.wait_for_function("() => new Promise(requestAnimationFrame)")
    assert second.evaluate("canvas => canvas.toDataURL()") != before


def test_pictures_stand_beside_the_matrix_whose_margins_are_recall_and_precision(tab, noise):
    counts = np.array(
        tab.evaluate(
            "() => [...document.querySelectorAll('table.confusion tbody tr')].map((row) =>"
            " [...row.querySelectorAll('button')].map((cell) => Number(cell.dataset.count)))"
        )
    )
    assert counts.sum() == len(noise.test.labels)
    for what, sums in (("recall", counts.sum(1)), ("precision", counts.sum(0))):
        said = tab.locator(f'[data-margin^="{what}"]').all_inner_texts()
        for share, right, total in zip(said, counts.diagonal(), sums, strict=True):
            assert (
                share == "–" if total == 0 else abs(float(share[:-1]) - 100 * right / total) <= 0.5
            )
    matrix, behind = (tab.locator(each).bounding_box() for each in ("table.confusion", "#behind"))
    assert behind["x"] >= matrix["x"] + matrix["width"]
    assert tab.locator("#behind .gallery button").count() > 0  # before anything is pressed


def test_a_name_has_one_colour_in_all_charts_of_the_layers(tab):
    tab.evaluate("window.lenet.drawn()")
    found = tab.evaluate(
        "() => [...document.querySelectorAll('#statistics .role-legend-entry')].flatMap((legend) =>"
        " {"
        " const names = [...legend.querySelectorAll('.role-legend-label text')];"
        " const signs = [...legend.querySelectorAll('.role-legend-symbol path')];"
        " return names.map((name, i) => [name.textContent, getComputedStyle(signs[i]).stroke]); })"
    )
    assert len({name for name, _ in found}) > 4
    assert len(found) > len(set(map(tuple, found))) == len({name for name, _ in found})


def test_a_crosshair_between_epochs_says_the_last_value_of_each_series(tab):
    tab.focus("#chart-losses")
    tab.keyboard.press("End")
    tab.keyboard.press("ArrowLeft")
    tab.keyboard.press("ArrowRight")
    assert [line.split("\t")[0] for line in tab.locator("#tooltip").inner_text().splitlines()][
        1:
    ] == [
        "training",
        "test",
    ]
    tab.keyboard.press("Home")
    assert "test" not in tab.locator("#tooltip").inner_text()  # it has none yet


def test_a_chart_is_said_in_a_sentence(tab):
    tab.evaluate("window.lenet.drawn()")
    said = tab.locator("#chart-losses").get_attribute("aria-label")
    assert re.fullmatch(r"Loss by epoch\. epoch 2: training [\d.]+ \(epoch 1\), test [\d.]+", said)
    assert (
        tab.locator("#chart-losses svg [aria-label*='epoch:']").count() == 0
    )  # no point is read out
    for section in tab.locator("section[id]").all():
        assert section.get_attribute("aria-labelledby") == f"{section.get_attribute('id')}-head"
    names = {view.get_attribute("aria-label") for view in tab.locator(".view").all()}
    assert len(names) == tab.locator(".view").count() == 3


def test_a_channel_that_is_off_is_said_beside_the_answer(tab, own):
    own.locator(".layer canvas").first.click(position={"x": 6, "y": 6})
    card = own.locator(".apart")
    card.get_by_role("button", name="switch channel off").press("Enter")
    assert "switched off: 0" in card.inner_text()
    assert tab.evaluate("document.activeElement.innerText") == "switch channel on"
    own.locator(".apart").get_by_role("button", name="close").click()
    own.get_by_role("button", name="Clear").click()
    own.locator(".silent").get_by_role("button", name="switch all on (1 off)").press("Enter")
    assert own.locator(".silent button").count() == 0
    assert tab.evaluate("document.activeElement.tagName") == "CANVAS"
    own.locator(".layer canvas").last.click(position={"x": 6, "y": 6})
    assert card.get_by_role("button", name="switch unit off").is_visible()


def test_a_unit_s_card_is_in_sight(opened, report):
    tab = opened(report, viewport={"width": 1280, "height": 800})
    canvas = tab.locator('.view[data-view="own"] .layer canvas').nth(2)
    canvas.evaluate("e => e.scrollIntoView({block: 'end', behavior: 'instant'})")
    canvas.click(position={"x": 6, "y": 6})
    card = tab.locator('.view[data-view="own"] .apart').bounding_box()
    assert card["y"] + card["height"] <= 800


def test_a_tap_on_the_map_opens_the_image(opened, report):
    tab = opened(report, has_touch=True)
    canvas = tab.locator("canvas.plane")
    canvas.scroll_into_view_if_needed()
    place = canvas.evaluate("() => window.lenet.places()[0]")
    canvas.tap(position={"x": 1 + place[0], "y": 1 + place[1]})
    assert "test image" in tab.locator('.view[data-view="own"] .note').inner_text()


def test_the_buttons_shift_an_image_and_leave_no_trace_outside(tab, own):
    own.locator("select").first.select_option("0")
    size = {"left": (0, -1), "up": (-1, 0), "right": (0, 1), "down": (1, 0)}
    picture = "() => [...window.lenet.views.find((view) => view.own).image]"
    for name, (down, right) in size.items():
        before = np.reshape(tab.evaluate(picture), (28, 28))
        own.locator(f'.toolbar button[aria-label*="{name}"]').first.click()
        moved = np.zeros_like(before)
        moved[max(down, 0) : 28 + min(down, 0), max(right, 0) : 28 + min(right, 0)] = before[
            max(-down, 0) : 28 + min(-down, 0), max(-right, 0) : 28 + min(-right, 0)
        ]
        np.testing.assert_array_equal(np.reshape(tab.evaluate(picture), (28, 28)), moved)


def test_the_right_button_erases_and_undo_brings_back(tab, own):
    canvas = own.locator(".input canvas")
    own.get_by_role("button", name="Clear").click()
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    white = """c => { c.blur(); // else the cursor frames a pixel
      const copy = document.createElement('canvas');
      [copy.width, copy.height] = [c.width, c.height];
      const of = copy.getContext('2d');
      of.drawImage(c, 0, 0);
      const { data } = of.getImageData(0, 0, c.width, c.height);
      return data.filter((x, i) => i % 4 === 2 && x > 200).length; }"""

    def stroke(button: str) -> int:
        tab.mouse.move(box["x"] + 60, box["y"] + 60)
        tab.mouse.down(button=button)
        tab.mouse.move(box["x"] + 160, box["y"] + 160, steps=3)
        tab.mouse.up(button=button)
        return canvas.evaluate(white)

    drawn = stroke("left")
    assert drawn > 0
    erase = own.get_by_role("button", name="Erase")
    for button in ("right", "left"):  # which erases, too, for who has no other one
        if button == "left":
            erase.click()
        assert stroke(button) == 0
        own.get_by_role("button", name="Undo").click()
        assert canvas.evaluate(white) == drawn
    assert erase.get_attribute("aria-pressed") == "true"
    own.get_by_role("button", name="Undo").click()
    assert canvas.evaluate(white) == 0


def test_the_matrix_stays_a_stop_at_every_epoch(tab):
    cells = tab.locator("table.confusion tbody button")
    open_ = cells.evaluate_all("cells => cells.map((cell) => cell.disabled)")
    for epoch in ("0", "1", "2"):
        tab.locator("#confusion [data-epochs] input").fill(epoch)
        assert cells.evaluate_all("cells => cells.map((cell) => cell.disabled)") == open_
        stops = "cells => cells.filter((cell) => cell.tabIndex === 0 && !cell.disabled).length"
        assert cells.evaluate_all(stops) == 1


def test_the_matrix_is_one_stop_for_tab_and_arrows_move_in_it(tab):
    cells = tab.locator(".confusion button:not([disabled])")
    tab.evaluate(
        "() => document.querySelectorAll('.confusion button').forEach((e) => (e.disabled = false))"
    )
    stops = "() => document.querySelectorAll('.confusion button[tabindex=\"0\"]').length"
    cells.first.focus()
    for key, direction in (("ArrowRight", (0, 1)), ("ArrowDown", (1, 0)), ("ArrowLeft", (0, -1))):
        before = tab.evaluate("() => document.activeElement.dataset.cell").split(",")
        tab.keyboard.press(key)
        after = tab.evaluate("() => document.activeElement.dataset.cell").split(",")
        moved = [int(b) - int(a) for a, b in zip(before, after, strict=True)]
        assert np.sign(moved).tolist() == list(direction)
        assert tab.evaluate(stops) == 1


def test_the_report_of_another_run_is_compared_with_this_one(opened, noise, tmp_path):
    """Its numbers, its settings that differ, its curves, and one image through both networks."""
    settings = {"one": {}, "two": {"activation": "relu", "lr": 0.1}}
    runs = {
        name: report_pages.run(dataclasses.replace(report_pages.SMALL, **changed), noise, name)
        for name, changed in settings.items()
    }
    runs["two"].rows[-1] = dataclasses.replace(runs["two"].rows[-1], test_accuracy=0.5)
    pages = {
        name: report_pages.write(tmp_path / f"{name}.html", of_run.report(run, noise))
        for name, run in runs.items()
    }
    tab = opened(pages["one"])
    section = tab.locator("#second")
    section.locator("input").set_input_files(pages["two"])
    section.locator("table").nth(1).wait_for()
    values, differ = (
        {
            row.locator("th").inner_text(): row.locator("td").all_inner_texts()
            for row in section.locator("table").nth(at).locator("tbody tr").all()
        }
        for at in (0, 1)
    )
    assert values["test accuracy"] == ["0.2500", "0.5000", "+0.2500"]
    assert values["training loss (nats)"] == ["1.3800", "1.3800", "0.0000"]
    assert differ == {"activation function": ["sigmoid", "relu"], "learning rate": ["0.9", "0.1"]}
    assert section.get_by_text("a difference may be due to the seed alone").is_visible()
    tab.evaluate("window.lenet.drawn()")
    for chart in section.locator("[data-chart]").all():
        assert chart.locator("svg").text_content().count("other run") == 2  # training and test

    def answers() -> list[str]:
        return section.locator(".answer").all_inner_texts()

    def expected(image: np.ndarray) -> list[str]:
        shares = [inspect.probabilities(r.model, r.params, image[None])[0] for r in runs.values()]
        return [f"{report_pages.NAMES[p.argmax()]}, {100 * p.max():.1f}%" for p in shares]

    own = tab.locator('.view[data-view="own"]')
    empty = np.zeros((28, 28, 1), np.uint8)
    own.get_by_role("button", name="Clear").click()
    own.get_by_role("button", name="Invert").click()
    assert answers() == expected(empty + 255)
    chosen = section.locator("select").first
    index = int(re.search(r"image (\d+)", chosen.locator("option").nth(1).inner_text())[1])
    chosen.select_option("0")
    assert answers() == expected(noise.test.images[index])
    section.locator(".layer canvas").first.hover(position={"x": 30, "y": 30})
    told = section.locator(".readout").all_inner_texts()
    (place,) = {re.sub(r": \S+\. ", ". ", each) for each in told}
    assert "conv1, channel 0, row " in place


def test_what_is_no_report_of_a_run_is_said_to_be_none(tab, tmp_path):
    files = {"sweep.html": "<script id='payload'>{}</script>", "other.html": "<p>nothing"}
    for name, content in files.items():
        (tmp_path / name).write_text(content)
        tab.locator("#second input").set_input_files(tmp_path / name)
        tab.locator("#second .note", has_text=name).wait_for()
        assert tab.locator("#second table").count() == 0


def test_a_report_is_compared_wherever_it_is_dropped(tab, report):
    dropped = """([content, where]) => {
        const held = new DataTransfer();
        held.items.add(new File([content], "r.html", { type: "text/html" }));
        const at = document.querySelector(where);
        const options = { dataTransfer: held, bubbles: true, cancelable: true };
        return !at.dispatchEvent(new DragEvent("drop", options));
    }"""
    for where in ("h1", '.view[data-view="own"] canvas'):
        tab.evaluate("document.querySelector('#second h2 ~ div').replaceChildren()")
        assert tab.evaluate(dropped, [report.read_text(encoding="utf-8"), where])
        tab.locator("#second h3", has_text="The same settings").wait_for()
    assert tab.locator('.view[data-view="own"] .note').inner_text() == ""
