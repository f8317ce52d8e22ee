import io

import numpy as np
from PIL import Image

from lenet.analysis import published
from lenet.engine.rows import Row
from lenet.figures import run, style


def row(epoch: int, accuracy: float) -> Row:
    running = [(epoch - 1 + i / 5, 2.0 / epoch, accuracy) for i in range(1, 6)]
    return Row(epoch, 2.0 / epoch, accuracy, None, None, 2.0, accuracy, 100, 1.0, 100.0, running)


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), np.int16)


def test_the_figure_shows_every_curve_and_the_band():
    rows = [row(1, 0.1), row(2, 0.5), row(3, 0.7)]
    plain = pixels(run.curves(rows, epochs=10, title="LeNet"))
    banded = pixels(run.curves(rows, epochs=10, title="LeNet", band=published.band()))
    assert plain.shape[0] > 400
    assert plain.shape[1] > 600
    for colour in (style.BLUE, style.ORANGE, style.GREEN):
        rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        assert (np.abs(plain - rgb).sum(-1) < 12).sum() > 50
    assert (plain != banded).any(-1).sum() > 1000


def test_the_published_band_is_the_published_runs():
    band = published.band()
    assert band.epochs == list(range(1, 11))
    assert all(a <= b <= c for a, b, c in zip(band.low, band.median, band.high, strict=True))
    assert published.band("mxnet").runs + published.band("tensorflow").runs + band.runs == 340


def test_the_distributions_lie_over_one_another_in_every_panel():
    rng = np.random.default_rng(0)
    groups = {who: rng.normal(size=n) for who, n in (("ours", 5), ("A", 40), ("B", 9))}
    one = pixels(style.distributions({"accuracy": groups}))
    two = pixels(style.distributions({"accuracy": groups, "loss": groups}))
    assert one.shape[0] == two.shape[0]
    assert two.shape[1] == 2 * one.shape[1]
    for picture, panels in ((one, 1), (two, 2)):
        width = picture.shape[1] // panels
        for panel in range(panels):
            part = picture[:, panel * width : (panel + 1) * width]
            for colour in (style.BLUE, style.ORANGE, style.GREEN):
                rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
                assert (np.abs(part - rgb).sum(-1) < 12).sum() > 50
