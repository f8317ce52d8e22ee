"""Chance level follows from the number of classes, wherever it is named."""

import math

import pytest

from lenet.engine import chance

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
