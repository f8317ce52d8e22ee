"""Chance level follows from the number of classes, wherever it is named."""

import dataclasses
import math

import pytest
import record_rows
import report_pages

from experiments.cli import progress
from lenet.data import Data
from lenet.engine import chance
from lenet.report import of_run, page

CLASSES = (2, 10, 100)


@pytest.mark.parametrize("num_classes", CLASSES)
def test_guessing_is_at_chance_level_and_twice_or_a_tenth_better_is_not(num_classes):
    assert chance.at_level(1 / num_classes, num_classes)
    assert not chance.at_level(min(2 / num_classes, 1 / num_classes + 0.1), num_classes)
    assert chance.on_plateau(math.log(num_classes), 1 / num_classes, num_classes)
    assert not chance.on_plateau(0.9 * math.log(num_classes), 1 / num_classes, num_classes)
    assert not chance.on_plateau(1.1 * math.log(num_classes), 1 / num_classes, num_classes)


def test_of_a_single_class_nothing_is_left_to_chance():
    assert not chance.at_level(1.0, 1)
    assert not chance.on_plateau(0.0, 1.0, 1)


@pytest.mark.parametrize("num_classes", CLASSES)
def test_progress_names_the_loss_of_chance_and_is_silent_once_it_learns(num_classes):
    guess = math.log(num_classes)
    row = record_rows.row(train_loss=guess, test_accuracy=1 / num_classes)
    for published in (True, False):
        note = progress.plateau(row, num_classes, published)
        assert f"{guess:.3f}" in str(note)
        learned = dataclasses.replace(row, test_accuracy=2 / num_classes)
        assert progress.plateau(learned, num_classes, published) is None


def classes(num_classes: int) -> Data:
    names = tuple(f"class {i}" for i in range(num_classes))
    return dataclasses.replace(report_pages.data(), class_names=names)


@pytest.mark.parametrize("num_classes", CLASSES)
def test_a_report_counts_the_epochs_at_chance_level_of_its_classes(num_classes):
    guess = math.log(num_classes)
    run = report_pages.run(report_pages.SMALL, classes(num_classes))
    first, second = (
        dataclasses.replace(row, train_loss=guess, test_accuracy=1 / num_classes)
        for row in run.rows
    )
    learned = dataclasses.replace(second, test_accuracy=2 / num_classes + 0.01)
    for rows, epochs in (([first, second], 2), ([first, learned], 1)):
        found = of_run.report(run._replace(rows=rows), None)
        assert page.merged(found.parts).values["plateau"]["epochs"] == epochs
    assert page.merged(found.parts).values["guess"] == guess
    assert f"{guess:.3f}" in page.render(found).decode()
