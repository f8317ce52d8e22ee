"""A dataset that a caller made is checked, and its mistakes are named with what to type."""

import dataclasses

import numpy as np
import pytest

from lenet import data
from lenet.data import Data, Split, synthetic
from lenet.errors import DataError, UsageError


def mine(**changes) -> Data:
    images = np.zeros((6, 5, 4, 1), np.uint8)
    split = Split(images, np.array([0, 1, 2, 0, 1, 2], np.int32))
    made = Data(split, None, Split(images[:3], split.labels[:3]), "mine", "made", ("a", "b", "c"))
    return dataclasses.replace(made, **changes)


def test_a_dataset_in_order_passes_as_it_is():
    for whole in (mine(), mine(valid=mine().test), synthetic.make(20, 10)):
        assert data.check(whole) is whole
    assert data.check(data.hold_out(synthetic.make(20, 10), 5)).valid is not None


def with_train(images=None, labels=None) -> Data:
    before = mine().train
    return mine(
        train=Split(
            before.images if images is None else images,
            before.labels if labels is None else labels,
        )
    )


IMAGES, LABELS = mine().train


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: {"train": (IMAGES, LABELS)}, "data: expected a lenet.data.Data, found dict"),
        (lambda: mine(train=(IMAGES, LABELS)), "train: expected a lenet.data.Split, found tuple"),
        (lambda: mine(valid=0), "valid: expected a lenet.data.Split, found int"),
        (lambda: with_train(images=IMAGES.tolist()), "train.images: expected an array, found list"),
        (
            lambda: with_train(images=IMAGES / 255),
            "train.images: expected uint8, found float64. Scale",
        ),
        (
            lambda: with_train(images=IMAGES[..., 0]),
            "train.images: expected shape [N, H, W, C], found [6, 5, 4]. Add a channel axis: "
            "images[..., None]",
        ),
        (
            lambda: with_train(images=IMAGES[:, :0]),
            "train.images: expected shape [N, H, W, C], found [6,",
        ),
        (
            lambda: with_train(labels=LABELS.astype(np.int64)),
            "train.labels: expected int32, found int64. Convert: labels.astype(np.int32)",
        ),
        (
            lambda: with_train(labels=LABELS[:-1]),
            "train.labels: expected shape [6], one label per image,",
        ),
        (
            lambda: with_train(labels=LABELS[:, None]),
            "train.labels: expected shape [6], one label per",
        ),
        (
            lambda: with_train(labels=LABELS + 1),
            "train.labels[2] is 3: expected 0 to 2, an index into",
        ),
        (lambda: with_train(labels=LABELS - 1), "train.labels[0] is -1: expected 0 to 2"),
        (
            lambda: with_train(IMAGES[:0], LABELS[:0]),
            "train: expected at least one example, found none",
        ),
        (
            lambda: mine(valid=Split(IMAGES[:0], LABELS[:0])),
            "valid: expected at least one example, found",
        ),
        (
            lambda: mine(test=Split(IMAGES[:, :4], LABELS)),
            "test.images: expected images of [5, 4, 1] as ",
        ),
        (
            lambda: mine(valid=Split(IMAGES[:, :, :3], LABELS)),
            "valid.images: expected images of [5, 4, 1]",
        ),
        (lambda: mine(class_names=("a", "b", "a")), "class_names: expected different names"),
        (lambda: mine(class_names=()), "class_names: expected different names, at least one"),
        (lambda: mine(class_names=["a", "b", "c"]), "class_names: expected a tuple of strings"),
        (lambda: mine(class_names=("a", "b", 3)), "class_names: expected a tuple of strings"),
    ],
)
def test_what_is_wrong_is_named_with_what_was_expected(unchecked, wrong, said):
    with pytest.raises(DataError) as caught:
        data.check(wrong())
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("count", [0.5, "3", None, True, float("nan")])
def test_counts_are_integers(unchecked, count):
    with pytest.raises(UsageError, match=r"valid=.*: expected an integer from 0 to 5; 6 examples"):
        data.hold_out(mine(), count)
    if count is not None:  # all of them
        with pytest.raises(UsageError, match=r"test=.*: expected an integer from 1 to 3"):
            data.take(mine(), train=1, test=count)
    with pytest.raises(UsageError, match=r"train=.*: expected an integer from 1 to"):
        synthetic.make(count)


def test_numpy_s_integers_are_counts(unchecked):
    held = data.hold_out(mine(), np.int64(2))
    assert held.valid is not None
    assert len(held.valid.labels) == 2
    assert len(data.take(mine(), train=np.uint8(2)).train.labels) == 2


def test_a_synthetic_seed_is_an_integer_from_0(unchecked):
    for seed in (-1, 0.5, None):
        with pytest.raises(UsageError, match=r"^seed=.*: expected an integer of at least 0"):
            synthetic.make(10, 10, seed=seed)
