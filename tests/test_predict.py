"""`experiments.predict` as a person meets it."""

import io
import os
import shutil
from functools import partial

import numpy as np
import pytest
from commands import command
from PIL import Image

from lenet import data, inspect, records

predict = partial(command, "predict", env={"COLUMNS": "160"})


@pytest.fixture
def shown(trained, tiny, tmp_path):
    """A run, a directory with three of its test images, and what the network makes of them."""
    run_dir, _ = trained
    images = data.load("tiny", data_dir=tiny).test.images[:3]
    for i, image in enumerate(images):
        Image.fromarray(image[:, :, 0]).save(tmp_path / f"{i}.png")
    return run_dir, inspect.probabilities(*records.load(run_dir), images)


def test_it_says_what_the_network_makes_of_a_picture(shown, tmp_path):
    run_dir, expected = shown
    done = predict(str(run_dir), "0.png", "1.png", "2.png", "--explain=seen", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 7
    for i, line in enumerate(lines[1:4]):
        assert line.split()[0] == f"{i}.png"
        assert f" {expected[i].max():.3f} " in line
    for i in range(3):
        path = tmp_path / "seen" / f"{i + 1:02d}-{i}.png"
        assert Image.open(io.BytesIO(path.read_bytes())).size[0] > 800


def test_runs_together_give_the_mean(shown, tmp_path):
    run_dir, expected = shown
    shutil.copytree(run_dir, tmp_path / "again")
    done = predict(str(run_dir), "again", "0.png", cwd=tmp_path)
    assert f"{expected[0].max():.3f}" in done.stdout
    assert "100% of 2 runs agree" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ((), 2, "RUN_DIR IMAGE"),
        (("0.png",), 2, "0.png: not a directory"),
        (("RUN",), 2, "give images after the run directory"),
        (("0.png", "RUN"), 2, "run directories, then images"),
        (("RUN", "missing.png"), 3, "missing.png: no such file"),
        (("RUN", "evil\x1b[31m.png"), 3, r"evil\x1b[31m.png: not a readable PNG or JPEG"),
        ((".", "0.png"), 4, "no checkpoint yet"),
        (("RUN", "0.png", "--explain=0.png"), 2, "--explain=0.png"),
        (("sweep", "0.png"), 4, "sweeps and comparisons save results, not networks"),
    ],
)
def test_what_cannot_be_is_one_line(shown, tmp_path, arguments, status, said):
    run_dir, _ = shown
    (tmp_path / "evil\x1b[31m.png").write_text("text")
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep/sweep.json").write_text("{}")
    given = (str(run_dir) if x == "RUN" else x for x in arguments)
    done = predict(*given, cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (status, 1), done.stderr
    assert said in done.stderr
    assert "\x1b" not in done.stdout + done.stderr


def test_inverted_pictures_are_the_same_pictures(shown, tmp_path):
    run_dir, _ = shown
    pixels = np.asarray(Image.open(tmp_path / "0.png"))
    Image.fromarray(255 - pixels).save(tmp_path / "negative.png")
    plain = predict(str(run_dir), "0.png", cwd=tmp_path).stdout.split()[4:]
    turned = predict(str(run_dir), "negative.png", "--invert", cwd=tmp_path).stdout.split()[4:]
    assert (plain[0], turned[0]) == ("0.png", "negative.png")
    assert plain[1:] == turned[1:]


def test_pictures_that_cannot_be_read_leave_the_others_their_answers(shown, tmp_path):
    run_dir, expected = shown
    (tmp_path / "bad.png").write_text("text")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "large.png").touch()
    os.truncate(tmp_path / "large.png", 10**9)
    given = ("bad.png", "0.png", "gone.png", "folder", "pipe.png", "large.png", "x" * 300)
    done = predict(str(run_dir), *given, cwd=tmp_path)
    assert done.returncode == 3
    assert f" {expected[0].max():.3f} " in done.stdout
    lines = done.stderr.splitlines()
    assert [line.split(":")[1].strip() for line in lines] == [x for x in given if x != "0.png"]
    assert all(line.count(". ") for line in lines), "each says what to do"


def test_what_pillow_cannot_do_for_one_picture_it_does_for_the_others(shown, tmp_path, monkeypatch):
    run_dir, expected = shown
    resize = Image.Image.resize
    answers = iter((MemoryError(), RuntimeError("odd"), None, None))  # one call a direction

    def sometimes(*arguments, **options):
        if error := next(answers):
            raise error
        return resize(*arguments, **options)

    monkeypatch.setattr(Image.Image, "resize", sometimes)
    done = predict(str(run_dir), "0.png", "1.png", "2.png", cwd=tmp_path)
    assert done.returncode == 3
    assert f" {expected[2].max():.3f} " in done.stdout
    assert "0.png: not enough memory" in done.stderr
    assert "1.png: could not read: odd" in done.stderr


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en_GB", "ink.png is almost a single grey level"),
        ("zh_CN", "ink.png 缩放后几乎只有一个灰度级"),
    ],
)
def test_a_picture_of_which_nothing_is_left_is_named(shown, tmp_path, monkeypatch, language, said):
    run_dir, _ = shown
    monkeypatch.setenv("LC_ALL", language)
    ink = Image.new("LA", (60, 60))
    ink.paste((0, 255), (20, 20, 40, 40))
    ink.save(tmp_path / "ink.png")
    assert said in predict(str(run_dir), "ink.png", "0.png", cwd=tmp_path).stdout
    assert said not in predict(str(run_dir), "--invert", "ink.png", cwd=tmp_path).stdout


def test_a_picture_on_white_is_told_of_invert(shown, tmp_path):
    run_dir, _ = shown
    pixels = np.full((60, 60), 255, np.uint8)
    pixels[20:40, 20:40] = 10
    Image.fromarray(pixels).save(tmp_path / "paper.png")
    hint = "paper.png looks dark-on-light; use --invert"
    assert hint in predict(str(run_dir), "paper.png", cwd=tmp_path).stdout
    assert "light at" not in predict(str(run_dir), "--invert", "paper.png", cwd=tmp_path).stdout
